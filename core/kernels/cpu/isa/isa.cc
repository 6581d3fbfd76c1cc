// SPDX-License-Identifier: Apache-2.0
#include "core/kernels/cpu/isa/isa.h"

#include "core/error.h"

#if INLAY_X86
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace inlay::kernels {
namespace {

#if INLAY_X86
// Linux grants the 8 KB of AMX tile state only on request.
bool request_amx() {
  constexpr long kRequestPermission = 0x1023;  // ARCH_REQ_XCOMP_PERM
  constexpr long kTileData = 18;
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

// What __builtin_cpu_supports has no name for, in one of the two compilers.
struct CpuId {
  explicit CpuId(unsigned leaf) : eax(leaf) {
    __asm__ volatile("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
  }
  unsigned eax, ebx = 0, ecx = 0, edx = 0;
};

bool has_f16c() {
  constexpr unsigned kF16c = 1U << 29;
  return (CpuId(1).ecx & kF16c) != 0;
}

bool has_amx() {
  constexpr unsigned kBf16 = 1U << 22, kTile = 1U << 24, kInt8 = 1U << 25;
  return (CpuId(7).edx & (kBf16 | kTile | kInt8)) == (kBf16 | kTile | kInt8) && request_amx();
}

Isa detect() {
  __builtin_cpu_init();
  if (!(__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c())) {
    return Isa::kPortable;
  }
  if (!(__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))) {
    return Isa::kAvx2;
  }
  if (!(__builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512vbmi") &&
        __builtin_cpu_supports("avx512vnni"))) {
    return Isa::kAvx512;
  }
  return has_amx() ? Isa::kAmx : Isa::kAvx512Bf16;
}
#else
Isa detect() {
  return Isa::kPortable;
}
#endif

Isa best_isa() {
  static const Isa best = detect();
  return best;
}

Isa& chosen() {
  static Isa isa = best_isa();
  return isa;
}

}  // namespace

Isa active_isa() {
  return chosen();
}

bool isa_supported(Isa isa) {
  return isa <= best_isa();
}

void set_isa(Isa isa) {
  INLAY_ASSERT(isa_supported(isa));
  chosen() = isa;
}

std::string_view isa_name(Isa isa) {
  switch (isa) {
    case Isa::kPortable:
      return "portable";
    case Isa::kAvx2:
      return "avx2";
    case Isa::kAvx512:
      return "avx512";
    case Isa::kAvx512Bf16:
      return "avx512-bf16";
    case Isa::kAmx:
      return "amx";
  }
  return "?";
}

}  // namespace inlay::kernels
