// SPDX-License-Identifier: Apache-2.0
#include "finetune/row_source.h"

#include <algorithm>
#include <utility>

#include "core/memory/memory.h"

namespace inlay {
namespace {

class RowBytes {
 public:
  RowBytes(RowFunction rows, i64 count, i64 width, DType dtype)
      : rows_(std::move(rows)), count_(count), row_bytes_(width * size_of(dtype)), dtype_(dtype) {}

  void operator()(i64 offset, std::span<std::byte> out) const {
    const i64 first = offset / row_bytes_;
    const i64 last =
        std::min(count_, (offset + static_cast<i64>(out.size()) + row_bytes_ - 1) / row_bytes_);
    const MemoryScope scope(MemoryClass::kScratch);
    const Tensor piece = rows_(first, last).to(dtype_);
    piece.copy_bytes_out(out, offset - first * row_bytes_);
  }

 private:
  RowFunction rows_;
  i64 count_;
  i64 row_bytes_;
  DType dtype_;
};

}  // namespace

ByteSource row_source(RowFunction rows, i64 count, i64 width, DType dtype) {
  return ByteSource(RowBytes(std::move(rows), count, width, dtype));
}

ByteSource tensor_source(const Tensor& t) {
  return ByteSource([t](i64 offset, std::span<std::byte> out) { t.copy_bytes_out(out, offset); });
}

}  // namespace inlay
