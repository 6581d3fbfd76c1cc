// SPDX-License-Identifier: Apache-2.0
#include "core/backend/rehearsal.h"

#include <algorithm>
#include <cstring>
#include <type_traits>

#include "core/error.h"

namespace inlay {
namespace {

// Work is left out; a question is for the processor.
template <auto member>
struct Rehearsed;

template <class... Args, void (*Kernels::*member)(Args...)>
struct Rehearsed<member> {
  static void function(Args... /*args*/) {}
};

template <class Answer, class... Args, Answer (*Kernels::*member)(Args...)>
requires(!std::is_void_v<Answer>) struct Rehearsed<member> {
  static Answer function(Args... args) { return (cpu_backend().kernels().*member)(args...); }
};

}  // namespace

RehearsalBackend::RehearsalBackend()
    : Backend("rehearsal", kernels_made_of<Rehearsed>()), cache_(BlockCache::Kind::kAddresses) {}

RehearsalBackend::~RehearsalBackend() {
  INLAY_ASSERT(books().current().total() == 0);
}

void RehearsalBackend::note_host_bytes(std::span<const std::byte> bytes) {
  i64& noted = host_bytes_[bytes.data()];
  noted = std::max(noted, static_cast<i64>(bytes.size()));
}

i64 RehearsalBackend::host_bytes() const {
  i64 sum = 0;
  for (const auto& [begin, bytes] : host_bytes_) {
    sum += bytes;
  }
  return sum;
}

void RehearsalBackend::copy_out(std::span<std::byte> to, const std::byte* /*from*/) {
  std::memset(to.data(), 0, to.size());
}

}  // namespace inlay
