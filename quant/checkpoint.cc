// SPDX-License-Identifier: Apache-2.0
#include "quant/checkpoint.h"

#include "core/error.h"
#include "core/io/file_system.h"

namespace inlay {

std::unique_ptr<Checkpoint> open_checkpoint(const std::string& path) {
  const FileKind kind = file_system().info(path).kind;
  if (kind == FileKind::kDirectory) {
    return open_safetensors_checkpoint(path);
  }
  if (kind == FileKind::kNone) {
    throw IoError(str(path, ": there is no such file or folder"));
  }
  if (path.ends_with(".gguf")) {
    return open_gguf_checkpoint(path);
  }
  throw DataError(
      str(path, ": expected a model folder (config.json and model.safetensors) or a .gguf file"));
}

std::vector<i32> unpermuted_rope_rows(i64 rows, i64 head_dim) {
  INLAY_ASSERT(head_dim % 2 == 0 && rows % head_dim == 0);
  std::vector<i32> map;
  for (i64 head = 0; head < rows / head_dim; ++head) {
    for (i64 t = 0; t < 2; ++t) {
      for (i64 j = 0; j < head_dim / 2; ++j) {
        map.push_back(static_cast<i32>(head * head_dim + 2 * j + t));
      }
    }
  }
  return map;
}

}  // namespace inlay
