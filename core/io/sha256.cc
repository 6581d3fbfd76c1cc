// SPDX-License-Identifier: Apache-2.0
#include "core/io/sha256.h"

#include <algorithm>
#include <bit>

#include "core/io/file_system.h"

namespace inlay {
namespace {

// The first 32 bits of the fractional parts of the cube roots of the first 64 primes.
constexpr std::array<u32, 64> kRound = {
    0x428A2F98, 0x71374491, 0xB5C0FBCF, 0xE9B5DBA5, 0x3956C25B, 0x59F111F1, 0x923F82A4, 0xAB1C5ED5,
    0xD807AA98, 0x12835B01, 0x243185BE, 0x550C7DC3, 0x72BE5D74, 0x80DEB1FE, 0x9BDC06A7, 0xC19BF174,
    0xE49B69C1, 0xEFBE4786, 0x0FC19DC6, 0x240CA1CC, 0x2DE92C6F, 0x4A7484AA, 0x5CB0A9DC, 0x76F988DA,
    0x983E5152, 0xA831C66D, 0xB00327C8, 0xBF597FC7, 0xC6E00BF3, 0xD5A79147, 0x06CA6351, 0x14292967,
    0x27B70A85, 0x2E1B2138, 0x4D2C6DFC, 0x53380D13, 0x650A7354, 0x766A0ABB, 0x81C2C92E, 0x92722C85,
    0xA2BFE8A1, 0xA81A664B, 0xC24B8B70, 0xC76C51A3, 0xD192E819, 0xD6990624, 0xF40E3585, 0x106AA070,
    0x19A4C116, 0x1E376C08, 0x2748774C, 0x34B0BCB5, 0x391C0CB3, 0x4ED8AA4A, 0x5B9CCA4F, 0x682E6FF3,
    0x748F82EE, 0x78A5636F, 0x84C87814, 0x8CC70208, 0x90BEFFFA, 0xA4506CEB, 0xBEF9A3F7, 0xC67178F2};

u32 big_endian_word(const std::byte* bytes) {
  u32 word = 0;
  for (int i = 0; i < 4; ++i) {
    word = word << 8 | static_cast<u32>(bytes[i]);
  }
  return word;
}

std::array<u32, 64> message_schedule(const std::byte* block) {
  std::array<u32, 64> w{};
  for (std::size_t t = 0; t < 16; ++t) {
    w[t] = big_endian_word(block + 4 * t);
  }
  for (std::size_t t = 16; t < 64; ++t) {
    const u32 s0 = std::rotr(w[t - 15], 7) ^ std::rotr(w[t - 15], 18) ^ w[t - 15] >> 3;
    const u32 s1 = std::rotr(w[t - 2], 17) ^ std::rotr(w[t - 2], 19) ^ w[t - 2] >> 10;
    w[t] = w[t - 16] + s0 + w[t - 7] + s1;
  }
  return w;
}

}  // namespace

void Sha256::add_block(const std::byte* block) {
  const std::array<u32, 64> w = message_schedule(block);
  auto [a, b, c, d, e, f, g, h] = state_;
  for (std::size_t t = 0; t < 64; ++t) {
    const u32 sum1 = std::rotr(e, 6) ^ std::rotr(e, 11) ^ std::rotr(e, 25);
    const u32 t1 = h + sum1 + ((e & f) ^ (~e & g)) + kRound[t] + w[t];
    const u32 sum0 = std::rotr(a, 2) ^ std::rotr(a, 13) ^ std::rotr(a, 22);
    const u32 t2 = sum0 + ((a & b) ^ (a & c) ^ (b & c));
    h = g;
    g = f;
    f = e;
    e = d + t1;
    d = c;
    c = b;
    b = a;
    a = t1 + t2;
  }
  const std::array<u32, 8> added = {a, b, c, d, e, f, g, h};
  for (std::size_t i = 0; i < state_.size(); ++i) {
    state_[i] += added[i];
  }
}

Sha256& Sha256::update(std::span<const std::byte> bytes) {
  bytes_ += bytes.size();
  while (!bytes.empty()) {
    if (filled_ == 0 && bytes.size() >= block_.size()) {
      add_block(bytes.data());
      bytes = bytes.subspan(block_.size());
      continue;
    }
    const std::size_t count = std::min(bytes.size(), block_.size() - filled_);
    std::copy_n(bytes.begin(), count, block_.begin() + static_cast<i64>(filled_));
    bytes = bytes.subspan(count);
    filled_ += count;
    if (filled_ == block_.size()) {
      add_block(block_.data());
      filled_ = 0;
    }
  }
  return *this;
}

std::string Sha256::hex() {
  const u64 bits = bytes_ * 8;
  // A one bit, zeros up to the last 8 bytes of a block, the length in bits.
  std::array<std::byte, 72> end{};
  end[0] = std::byte{0x80};
  const std::size_t zeros_end = filled_ < 56 ? 56 - filled_ : 120 - filled_;
  for (std::size_t i = 0; i < 8; ++i) {
    end[zeros_end + i] = static_cast<std::byte>(bits >> (56 - 8 * i));
  }
  update(std::span(end).first(zeros_end + 8));
  std::string text;
  for (const u32 word : state_) {
    for (int shift = 28; shift >= 0; shift -= 4) {
      text += "0123456789abcdef"[word >> shift & 15U];
    }
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
