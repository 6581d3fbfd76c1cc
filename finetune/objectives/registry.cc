// SPDX-License-Identifier: Apache-2.0
#include "finetune/objectives/registry.h"

#include "finetune/objectives/cross_entropy.h"

namespace inlay {
namespace {

template <class Kind>
std::shared_ptr<const Objective> make() {
  return std::make_shared<Kind>();
}

}  // namespace

std::span<const ObjectiveKind> objectives() {
  static constexpr ObjectiveKind kKinds[] = {{"cross_entropy", make<CrossEntropy>}};
  return kKinds;
}

}  // namespace inlay
