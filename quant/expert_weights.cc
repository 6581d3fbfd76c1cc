// SPDX-License-Identifier: Apache-2.0

// The matrices of experts, from a checkpoint or made 4-bit at once: one tensor an expert, or one of
// all.

#include <utility>

#include "core/error.h"
#include "quant/checkpoint_weights.h"
#include "quant/stored_weight.h"

namespace inlay {
namespace {

// Each as 4-bit codes.
void quantize_each(ExpertMatrices& part, const FourBitOptions& options) {
  for (FrozenMatrix& matrix : part.frozen) {
    if (matrix.format() == kernels::MatrixFormat::kFourBit) {
      continue;
    }
    const FrozenMatrix source =
        part.layout == WeightLayout::kOutIn
            ? matrix
            : FrozenMatrix(transposed_weight(decoded_weight(matrix, DType::kF32)));
    matrix = quantize_four_bit(source.ref(), options).frozen();
  }
  // Codes are made of rows; those that were 4-bit before have their rows so, too.
  part.layout = WeightLayout::kOutIn;
}

}  // namespace

ExpertMatrices CheckpointWeights::treated(const ExpertMatrices& stored,
                                          const std::string& name) const {
  ExpertMatrices part = stored;
  if (options_.four_bit && !is_skipped(name, options_.four_bit->skip_modules)) {
    quantize_each(part, options_.four_bit->format);
    return part;
  }
  for (FrozenMatrix& matrix : part.frozen) {
    if (!stays_stored(matrix, options_.dtype)) {
      matrix = FrozenMatrix(decoded_weight(matrix, *options_.dtype));
    }
  }
  return part;
}

ExpertStackWeights CheckpointWeights::experts(const std::string& name,
                                              const ExpertStackSpec& spec) {
  ExpertStackWeights weights;
  const i64 parts = std::ssize(spec.parts);
  const bool each = checkpoint_.has(spec.path(name, spec.name_of(0, 0)));
  const auto of_all = [&](i64 p) { return str(spec.path(name, spec.parts[p]), ".weight"); };
  const bool by_part = !each && checkpoint_.has_stack(of_all(0));
  const auto add_part = [&](ExpertMatrices part, std::vector<std::string> names) {
    if (options_.trainable) {
      make_trainable(part, !each, spec.in_out && !each && !by_part);
    } else {
      part = treated(part, dotted(name, spec.parameter));
      names.clear();
    }
    weights.parts.push_back(std::move(part));
    weights.names.push_back(std::move(names));
  };
  if (!each && !by_part) {
    StoredStack stack =
        checkpoint_.stack(spec.path(name, spec.stack_name()), spec.experts, spec.out, spec.in,
                          spec.in_out ? WeightLayout::kInOut : WeightLayout::kOutIn);
    add_part({.in = spec.in,
              .out = spec.out,
              .layout = stack.layout,
              .frozen = std::move(stack.matrices)},
             {spec.stack_name()});
    weights.interleaved = spec.interleaved;
    if (spec.bias) {
      weights.parts[0].bias =
          checkpoint_.table(spec.path(name, spec.bias_name()), {spec.experts, spec.out});
      weights.bias_names.push_back(spec.bias_name());
    }
    return weights;
  }
  for (i64 p = 0; p < parts; ++p) {
    ExpertMatrices part = {.in = spec.in, .out = spec.out / parts};
    std::vector<std::string> names;
    if (each) {
      for (i64 e = 0; e < spec.experts; ++e) {
        names.push_back(spec.name_of(e, p));
        const std::string module = spec.path(name, names.back().substr(0, names.back().rfind('.')));
        part.frozen.push_back(
            checkpoint_.matrix(module, part.out, part.in, WeightLayout::kOutIn, 0).matrix);
      }
    } else {
      names.push_back(spec.parts[p] + ".weight");
      part.frozen = std::move(
          checkpoint_.stack(of_all(p), spec.experts, part.out, part.in, WeightLayout::kOutIn)
              .matrices);
    }
    if (spec.bias) {
      part.bias =
          checkpoint_.table(spec.path(name, spec.parts[p] + ".bias"), {spec.experts, part.out});
      weights.bias_names.push_back(spec.parts[p] + ".bias");
    }
    add_part(std::move(part), std::move(names));
  }
  return weights;
}

ExpertStackWeights QuantizedWeights::experts(const std::string& name, const ExpertStackSpec& spec) {
  ExpertStackWeights weights = inner_.experts(name, spec);
  if (is_skipped(dotted(name, spec.parameter), options_.skip_modules)) {
    return weights;
  }
  for (std::size_t p = 0; p < weights.parts.size(); ++p) {
    if (!weights.parts[p].trained.empty()) {
      weights.parts[p].freeze();
      weights.names[p].clear();
    }
    quantize_each(weights.parts[p], options_.format);
  }
  return weights;
}

}  // namespace inlay
