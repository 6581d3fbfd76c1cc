// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/ops/experts.h"
#include "core/tensor/frozen_matrix.h"
#include "nn/weights.h"

// What becomes of a stored weight as it loads. For the .cc files of quant.
namespace inlay {

/// Whether one of the entries is the begin of the path, by whole names, or its end, as Transformers
/// takes llm_int8_skip_modules.
bool is_skipped(const std::string& name, const std::vector<std::string>& skip_modules);
/// The same of a linear layer; "lm_head" and its other names, "embed_out" and "output", are the
/// model's head, whatever it is called here.
bool is_skipped(const std::string& name, const LinearSpec& spec,
                const std::vector<std::string>& skip_modules);

/// The whole matrix as floats of `dtype`, a few rows at a time so that no second copy of its size
/// exists.
Tensor decoded_weight(const FrozenMatrix& matrix, DType dtype);
Tensor transposed_weight(const Tensor& t);

/// True when the storage already is what `dtype` asks for, so that it can stay mapped. Weights that
/// are 4-bit in their file stay so: the setting speaks of dense and GGUF weights.
bool stays_stored(const FrozenMatrix& m, std::optional<DType> dtype);

/// Makes f32 tensors to be trained of an `in_out` or [out, in] part's frozen matrices: one, where
/// `of_all`, else one a matrix.
void make_trainable(ExpertMatrices& part, bool of_all, bool in_out);

}  // namespace inlay
