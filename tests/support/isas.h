// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <ostream>
#include <string>
#include <vector>

#include "core/kernels/cpu/isa/isa.h"

namespace inlay::kernels {
inline void PrintTo(Isa isa, std::ostream* out) {
  *out << isa_name(isa);
}
}  // namespace inlay::kernels

namespace inlay::testing {

/// The instruction sets this processor can run that have kernels of their own (see INLAY_SELECT),
/// the portable one first.
inline std::vector<kernels::Isa> supported_isas() {
  std::vector<kernels::Isa> isas;
  for (const auto isa : {kernels::Isa::kPortable, kernels::Isa::kAvx2, kernels::Isa::kAvx512}) {
    if (kernels::isa_supported(isa)) {
      isas.push_back(isa);
    }
  }
  return isas;
}

/// Those with instructions for dot products of bf16 and int8 (see INLAY_SELECT_DOTS): none, on many
/// processors.
inline std::vector<kernels::Isa> supported_dot_isas() {
  std::vector<kernels::Isa> isas;
  for (const auto isa : {kernels::Isa::kAvx512Bf16, kernels::Isa::kAmx}) {
    if (kernels::isa_supported(isa)) {
      isas.push_back(isa);
    }
  }
  return isas;
}

/// Both: every set whose kernels of bf16 or int8 products differ.
inline std::vector<kernels::Isa> all_supported_isas() {
  std::vector<kernels::Isa> isas = supported_isas();
  for (const kernels::Isa isa : supported_dot_isas()) {
    isas.push_back(isa);
  }
  return isas;
}

/// Uses `isa` for the rest of the scope.
class IsaScope {
 public:
  explicit IsaScope(kernels::Isa isa) : before_(kernels::active_isa()) { kernels::set_isa(isa); }
  ~IsaScope() { kernels::set_isa(before_); }
  IsaScope(const IsaScope&) = delete;
  IsaScope& operator=(const IsaScope&) = delete;

 private:
  kernels::Isa before_;
};

/// Runs `body` on every supported instruction set.
template <class Body>
void for_each_isa(Body body) {
  for (const kernels::Isa isa : supported_isas()) {
    const IsaScope scope(isa);
    SCOPED_TRACE(kernels::isa_name(isa));
    body();
  }
}

/// A test that runs once on every supported instruction set; instantiate it with INLAY_ON_EACH_ISA.
class OnEachIsa : public ::testing::TestWithParam<kernels::Isa> {
 private:
  IsaScope scope_{GetParam()};
};

/// "avx512_bf16": a name GoogleTest accepts.
inline std::string isa_test_name(const ::testing::TestParamInfo<kernels::Isa>& info) {
  std::string name(kernels::isa_name(info.param));
  for (char& c : name) {
    c = c == '-' ? '_' : c;
  }
  return name;
}

}  // namespace inlay::testing

#define INLAY_ON_EACH_ISA(Suite)                                                             \
  INSTANTIATE_TEST_SUITE_P(, Suite, ::testing::ValuesIn(::inlay::testing::supported_isas()), \
                           ::inlay::testing::isa_test_name)
