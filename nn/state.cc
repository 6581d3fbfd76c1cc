// SPDX-License-Identifier: Apache-2.0
#include "nn/state.h"

namespace inlay {

i64 SequenceCache::rewind(i64 slot, i64 tokens) {
  // A layer that cannot go back as far as the others makes all of them go back further; at zero
  // they agree at the latest.
  for (i64 kept = tokens;; tokens = kept) {
    for (const std::unique_ptr<LayerState>& layer : layers_) {
      kept = layer->rewind(slot, kept);
    }
    if (kept == tokens) {
      return kept;
    }
  }
}

}  // namespace inlay
