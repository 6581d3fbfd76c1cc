// SPDX-License-Identifier: Apache-2.0
#include "core/backend/backend.h"

namespace inlay {
namespace {

// One a thread: a rehearsal on one thread must not send another's tensors to its addresses.
Backend*& chosen() {
  thread_local Backend* backend = nullptr;
  return backend;
}

}  // namespace

Backend& current_backend() {
  return chosen() != nullptr ? *chosen() : cpu_backend();
}

UseBackend::UseBackend(Backend& backend) : previous_(chosen()) {
  chosen() = &backend;
}

UseBackend::~UseBackend() {
  chosen() = previous_;
}

MemoryReport current_memory() {
  return current_backend().books().current();
}

MemoryReport peak_memory() {
  return current_backend().books().peak();
}

void reset_peak_memory() {
  current_backend().books().reset_peak();
}

i64 reserved_memory() {
  return current_backend().reserved();
}

}  // namespace inlay
