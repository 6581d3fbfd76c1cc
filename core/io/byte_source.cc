// SPDX-License-Identifier: Apache-2.0
#include "core/io/byte_source.h"

#include <algorithm>
#include <vector>

#include "core/error.h"
#include "core/io/atomic.h"

namespace inlay {

void ByteSource::write_to(AtomicFile& file, i64 bytes) const {
  if (!fill_) {
    INLAY_ASSERT(static_cast<i64>(data_.size()) == bytes);
    file.write(data_);
    return;
  }
  std::vector<std::byte> piece;
  for (i64 offset = 0; offset < bytes; offset += kPieceBytes) {
    piece.resize(static_cast<std::size_t>(std::min(kPieceBytes, bytes - offset)));
    fill_(offset, piece);
    file.write(piece);
  }
}

}  // namespace inlay
