// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>

namespace inlay {

/// SHA-256 (FIPS 180-4) of bytes given in any pieces: the checksums of manifests. Computed by
/// OpenSSL, which has the processor's own instructions for it. Throws MemoryError.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;

  Sha256& update(std::span<const std::byte> bytes);
  /// 64 hexadecimal digits, of what has come so far.
  std::string hex() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Of one piece.
std::string sha256_hex(std::span<const std::byte> bytes);
/// Of a file's content; throws IoError.
std::string sha256_file(const std::string& path);

}  // namespace inlay
