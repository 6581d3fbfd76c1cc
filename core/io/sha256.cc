// SPDX-License-Identifier: Apache-2.0
#include "core/io/sha256.h"

// The functions below are called deprecated in favour of those that look for a provider. These
// would read the machine's openssl.cnf, load the modules it names, and cost 2 MB of memory and
// 4 MB of program, for the same instructions.
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>

#include <algorithm>
#include <cstring>
#include <type_traits>

#include "core/error.h"
#include "core/io/file_system.h"

namespace inlay {

Sha256::Sha256() : state_{} {
  static_assert(sizeof(SHA256_CTX) <= sizeof(State) && alignof(SHA256_CTX) <= alignof(State) &&
                std::is_trivially_copyable_v<SHA256_CTX>);
  SHA256_CTX context;
  SHA256_Init(&context);
  std::memcpy(&state_, &context, sizeof context);
}

Sha256& Sha256::update(std::span<const std::byte> bytes) {
  SHA256_CTX context;
  std::memcpy(&context, &state_, sizeof context);
  SHA256_Update(&context, bytes.data(), bytes.size());
  std::memcpy(&state_, &context, sizeof context);
  return *this;
}

std::string Sha256::hex() const {
  SHA256_CTX context;
  std::memcpy(&context, &state_, sizeof context);
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest{};
  SHA256_Final(digest.data(), &context);
  std::string text;
  for (const unsigned char byte : digest) {
    text += "0123456789abcdef"[byte >> 4U];
    text += "0123456789abcdef"[byte & 15U];
  }
  return text;
}

std::string sha256_hex(std::span<const std::byte> bytes) {
  return Sha256().update(bytes).hex();
}

std::string sha256_file(const std::string& path) {
  constexpr std::size_t kPiece = 4 << 20;  // so that a large file does not stay in memory
  const auto file = file_system().map(path);
  file->will_read_in_order(file->bytes());
  Sha256 hash;
  for (std::size_t at = 0; at < file->bytes().size(); at += kPiece) {
    const auto piece = file->bytes().subspan(at, std::min(kPiece, file->bytes().size() - at));
    hash.update(piece);
    file->no_longer_needed(piece);
  }
  return hash.hex();
}

}  // namespace inlay
