// SPDX-License-Identifier: Apache-2.0
#include "core/io/sha256.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <algorithm>
#include <array>

#include "core/error.h"
#include "core/io/file_system.h"

namespace inlay {
namespace {

/// Left to itself, OpenSSL first reads the machine's openssl.cnf and loads the modules named there,
/// which are made for the machine's own libcrypto and not for the one in this program.
void read_no_configuration() {
  [[maybe_unused]] static const int once =
      OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, nullptr);
}

/// SHA-256 is built into OpenSSL, so only memory can be missing.
void check(bool done) {
  if (!done) {
    throw MemoryError("no memory left to compute a checksum");
  }
}

struct Free {
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};

}  // namespace

struct Sha256::State {
  std::unique_ptr<EVP_MD_CTX, Free> context{EVP_MD_CTX_new()};
};

Sha256::Sha256() {
  read_no_configuration();
  state_ = std::make_unique<State>();
  check(state_->context && EVP_DigestInit_ex(state_->context.get(), EVP_sha256(), nullptr) == 1);
}

Sha256::~Sha256() = default;

Sha256& Sha256::update(std::span<const std::byte> bytes) {
  check(EVP_DigestUpdate(state_->context.get(), bytes.data(), bytes.size()) == 1);
  return *this;
}

std::string Sha256::hex() const {
  std::array<unsigned char, 32> digest{};
  const State end;
  check(end.context && EVP_MD_CTX_copy_ex(end.context.get(), state_->context.get()) == 1 &&
        EVP_DigestFinal_ex(end.context.get(), digest.data(), nullptr) == 1);
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
