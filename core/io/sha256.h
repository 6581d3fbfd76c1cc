// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <string>

namespace inlay {

/// SHA-256 (FIPS 180-4) of bytes given in any pieces: the checksums of manifests. Computed by
/// OpenSSL, which has the processor's own instructions for it.
class Sha256 {
 public:
  Sha256();

  Sha256& update(std::span<const std::byte> bytes);
  /// 64 hexadecimal digits, of what has come so far.
  std::string hex() const;

 private:
  // OpenSSL's SHA256_CTX, which is no more than its numbers (sha256.cc holds the sizes together).
  struct alignas(8) State {
    std::array<std::byte, 112> bytes;
  };
  State state_;
};

/// Of one piece.
std::string sha256_hex(std::span<const std::byte> bytes);
/// Of a file's content; throws IoError.
std::string sha256_file(const std::string& path);

}  // namespace inlay
