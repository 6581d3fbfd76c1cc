// SPDX-License-Identifier: Apache-2.0
#include "finetune/config/words.h"

namespace inlay {

std::span<const Choice<DType>> ChoicesOf<DType>::all() {
  static const Choice<DType> table[] = {{dtype_name(DType::kF32), DType::kF32},
                                        {dtype_name(DType::kBf16), DType::kBf16},
                                        {dtype_name(DType::kF16), DType::kF16}};
  return table;
}

std::span<const Choice<GemmCompute>> ChoicesOf<GemmCompute>::all() {
  static constexpr Choice<GemmCompute> kTable[] = {
      {"f32", GemmCompute::kF32}, {"bf16", GemmCompute::kBf16}, {"int8", GemmCompute::kInt8}};
  return kTable;
}

std::span<const Choice<Bf16Products>> ChoicesOf<Bf16Products>::all() {
  static constexpr Choice<Bf16Products> kTable[] = {{"native", Bf16Products::kNative},
                                                    {"f32", Bf16Products::kF32}};
  return kTable;
}

std::span<const Choice<AttentionKind>> ChoicesOf<AttentionKind>::all() {
  static constexpr Choice<AttentionKind> kTable[] = {{"tiled", AttentionKind::kTiled},
                                                     {"reference", AttentionKind::kReference}};
  return kTable;
}

// In the order of how much is computed again: a run that does not fit tries the next.
std::span<const Choice<Recompute>> ChoicesOf<Recompute>::all() {
  static constexpr Choice<Recompute> kTable[] = {{"none", Recompute::kNone},
                                                 {"selective", Recompute::kSelective},
                                                 {"block", Recompute::kBlock}};
  return kTable;
}

std::span<const Choice<Prepack>> ChoicesOf<Prepack>::all() {
  static constexpr Choice<Prepack> kTable[] = {
      {"never", Prepack::kNever}, {"auto", Prepack::kAuto}, {"always", Prepack::kAlways}};
  return kTable;
}

std::span<const Choice<DecayOn>> ChoicesOf<DecayOn>::all() {
  static constexpr Choice<DecayOn> kTable[] = {{"weights", DecayOn::kWeights},
                                               {"all", DecayOn::kAll}};
  return kTable;
}

std::span<const Choice<SpeltTokens>> ChoicesOf<SpeltTokens>::all() {
  static constexpr Choice<SpeltTokens> kTable[] = {{"literal", SpeltTokens::kLiteral},
                                                   {"parse", SpeltTokens::kParse}};
  return kTable;
}

}  // namespace inlay
