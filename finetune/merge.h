// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/tensor/dtype.h"

namespace inlay {

struct MergeOptions {
  std::string model;
  std::string adapter;
  std::string out;
  std::string rope_scaling;    // JSON for the base; "": that of the adapter's run
  std::optional<DType> dtype;  // f32, bf16, f16; none: the base's own, f32 where that is quantised
  bool overwrite = false;
};

/// How far the merged model is from base and adapter, on logits of tokens drawn for the purpose.
struct MergeReport {
  double largest_difference = 0.0;   // of any logit
  double relative_difference = 0.0;  // root mean square of the differences over that of the logits
  double limit = 0.0;                // for relative_difference
  i64 positions = 0;                 // rows of logits compared
  std::vector<std::string> notices;  // about the adapter
};

/// Folds an adapter into its base and writes the result as a Hugging Face folder. The files are
/// read back and their logits compared with those of base and adapter before the folder appears;
/// VerificationError when they differ by more than rounding the weights to `dtype` explains: 1e-5
/// for f32, 2e-3 for f16, 2e-2 for bf16 (relative, see MergeReport). ConfigError when the folder is
/// there and `overwrite` is not set, when anything in it is not of an earlier merge (which
/// inlay_merge.json in it tells), and when it is or holds what is merged.
MergeReport merge_adapter(const MergeOptions& options);

}  // namespace inlay
