// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/ops/linear.h"
#include "core/tensor/frozen_matrix.h"
#include "nn/models/hf_config.h"

namespace inlay {

/// A weight as its file stores it, mapped, not copied: dense floats, GGUF blocks, or bitsandbytes
/// 4-bit codes.
struct StoredWeight {
  FrozenMatrix matrix;  // [out, in], or [in, out] as the layout says
  WeightLayout layout = WeightLayout::kOutIn;
};

/// The matrices of all experts, from one tensor.
struct StoredStack {
  std::vector<FrozenMatrix> matrices;
  WeightLayout layout = WeightLayout::kOutIn;
};

/// A model on disk: its settings, and its weights by their Hugging Face names.
class Checkpoint {
 public:
  virtual ~Checkpoint() = default;

  virtual const HfConfig& config() const = 0;
  /// The file or folder, for messages.
  virtual const std::string& path() const = 0;
  /// The files that hold the weights.
  virtual std::vector<std::string> files() const = 0;

  /// The float type that holds every stored weight as it is: bf16 or f16 when all are of that type,
  /// else f32.
  virtual DType float_type() const = 0;
  virtual bool has(const std::string& tensor) const = 0;
  /// The matrix `name` (without ".weight"). `expected_rows` x `expected_cols` is its shape in
  /// `layout`, the way the family keeps it; a file may keep it the other way round and say so in
  /// the result. rope_head_dim: see LinearSpec.
  virtual StoredWeight matrix(const std::string& name, i64 out, i64 in, WeightLayout layout,
                              i64 rope_head_dim) = 0;
  /// The tensor `name` of all experts, [E, out, in], or [E, in, out] in that layout, as their
  /// matrices: floats, GGUF blocks, or MXFP4 as "<name>_blocks" and "<name>_scales", which is
  /// [E, out, in] in any case.
  virtual StoredStack stack(const std::string& name, i64 experts, i64 out, i64 in,
                            WeightLayout layout) = 0;
  /// Whether `stack` finds it.
  virtual bool has_stack(const std::string& name) const = 0;
  /// A tensor of several axes as f32, in memory of its own.
  virtual Tensor table(const std::string& tensor, const std::vector<i64>& shape) = 0;
  /// A vector [size] as f32, in memory of its own.
  virtual Tensor vector(const std::string& tensor, i64 size, i64 rope_head_dim) = 0;
  /// Whether two tensors, by their Hugging Face names, are both there and have the same values.
  virtual bool same_values(const std::string& a, const std::string& b) const = 0;
  /// All tensors, as the file names them.
  virtual std::vector<std::string> names() const = 0;
  /// Tensors of the file that nothing has asked for, without those that never matter.
  virtual std::vector<std::string> unused() const = 0;
  /// Throws DataError naming the first tensor in use that holds a NaN or an infinity, and how many.
  /// Reads every one of them.
  virtual void require_finite() const = 0;
  /// What is odd about the files but does no harm, a sentence each.
  virtual std::vector<std::string> notices() const { return {}; }
};

/// Opens a Hugging Face folder (config.json and safetensors) or a .gguf file. Throws IoError or
/// DataError.
std::unique_ptr<Checkpoint> open_checkpoint(const std::string& path);

std::unique_ptr<Checkpoint> open_safetensors_checkpoint(const std::string& folder);
std::unique_ptr<Checkpoint> open_gguf_checkpoint(const std::string& path);

/// GGUF's order of the rows of a projection that RoPE turns, undone, for heads of size D, t in
/// {0, 1}:
///   entry h D + t (D/2) + j  is  h D + 2 j + t
std::vector<i32> unpermuted_rope_rows(i64 rows, i64 head_dim);

}  // namespace inlay
