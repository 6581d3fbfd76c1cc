// SPDX-License-Identifier: Apache-2.0
#include "quant/stored_weight.h"

#include <algorithm>
#include <iterator>
#include <string_view>

#include "core/tensor/dense_format.h"

namespace inlay {

namespace {

// What a model's head is called: in Transformers, in files of GPT-NeoX, in GGUF files.
constexpr std::string_view kHeads[] = {"lm_head", "embed_out", "output"};

}  // namespace

bool is_skipped(const std::string& name, const std::vector<std::string>& skip_modules) {
  return std::ranges::any_of(skip_modules, [&](const std::string& entry) {
    return name.ends_with(entry) || name.starts_with(entry + ".");
  });
}

bool is_skipped(const std::string& name, const LinearSpec& spec,
                const std::vector<std::string>& skip_modules) {
  const bool head = spec.head && std::ranges::any_of(skip_modules, [](const std::string& entry) {
                      return std::ranges::find(kHeads, entry) != std::end(kHeads);
                    });
  return head || is_skipped(name, skip_modules);
}

Tensor decoded_weight(const FrozenMatrix& matrix, DType dtype) {
  const MemoryScope scope(MemoryClass::kWeights);
  if (dtype == DType::kF32) {
    return matrix.decode(0, matrix.rows());
  }
  const Tensor out = Tensor::empty({matrix.rows(), matrix.cols()}, dtype);
  constexpr i64 kRows = 256;
  for (i64 begin = 0; begin < matrix.rows(); begin += kRows) {
    const i64 end = std::min(matrix.rows(), begin + kRows);
    out.slice(0, begin, end).copy_from(matrix.decode(begin, end).to(dtype));
  }
  return out;
}

Tensor transposed_weight(const Tensor& t) {
  const MemoryScope scope(MemoryClass::kWeights);
  return t.transpose(0, 1).contiguous();
}

bool stays_stored(const FrozenMatrix& m, std::optional<DType> dtype) {
  if (!dtype || m.format() == kernels::MatrixFormat::kFourBit) {
    return true;
  }
  return dense_dtype(m.format()) == dtype;
}

void make_trainable(ExpertMatrices& part, bool of_all, bool in_out) {
  const MemoryScope scope(MemoryClass::kWeights);
  const WeightLayout layout = in_out ? WeightLayout::kInOut : WeightLayout::kOutIn;
  const Shape shape = in_out ? Shape{part.in, part.out} : Shape{part.out, part.in};
  const i64 E = std::ssize(part.frozen);
  if (of_all) {
    part.trained = {Tensor::empty({E, shape[0], shape[1]})};
  }
  for (i64 e = 0; e < E; ++e) {
    Tensor matrix = decoded_weight(part.frozen[e], DType::kF32);
    if (layout != part.layout) {
      matrix = transposed_weight(matrix);
    }
    if (of_all) {
      part.trained[0].slice(0, e, e + 1).view(shape).copy_from(matrix);
    } else {
      part.trained.push_back(matrix);
    }
  }
  part.layout = layout;
  part.frozen.clear();
}

}  // namespace inlay
