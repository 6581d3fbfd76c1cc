// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <string>

#include "core/types.h"

namespace inlay {

/// SHA-256 (FIPS 180-4) of bytes given in any pieces: the checksums of manifests.
class Sha256 {
 public:
  Sha256& update(std::span<const std::byte> bytes);
  /// 64 hexadecimal digits; ends the computation.
  std::string hex();

 private:
  void add_block(const std::byte* block);

  std::array<u32, 8> state_ = {0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A,
                               0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19};
  std::array<std::byte, 64> block_{};
  std::size_t filled_ = 0;  // bytes waiting in block_
  u64 bytes_ = 0;           // of the whole message
};

/// Of one piece.
std::string sha256_hex(std::span<const std::byte> bytes);
/// Of a file's content; throws IoError.
std::string sha256_file(const std::string& path);

}  // namespace inlay
