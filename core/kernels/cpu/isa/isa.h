// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

/// Which instruction set the kernels use: chosen once, at run time, from what the processor offers,
/// so that a binary built on one machine runs on another.
///
/// A file `<name>.isa.cc` is compiled once for each set (see `inlay_isa_sources` in
/// core/CMakeLists.txt), each time in a namespace of its own, and fills one table of function
/// pointers; `<name>.cc` picks a table with INLAY_SELECT. Most files are compiled for portable,
/// avx2 and avx512 alone; those of bf16 and int8 products, which newer processors have instructions
/// for, for avx512bf16 and amx too or only (INLAY_SELECT_DOTS). Rules for an .isa.cc file: pointers
/// and sizes only, no allocation, no threads, and no function templates or inline functions from
/// the standard library. The linker keeps one copy of such a function, and it must not be the
/// AVX-512 one.
namespace inlay::kernels {

enum class Isa {
  kPortable,    // what every processor of the architecture has
  kAvx2,        // AVX2, FMA, F16C
  kAvx512,      // AVX-512 F, BW, DQ, VL
  kAvx512Bf16,  // AVX-512 with BF16 dot products, VBMI and VNNI
  kAmx,         // all of it, with AMX tiles for bf16 and int8
};

/// The best set this processor offers, unless `set_isa` chose another.
Isa active_isa();
/// True when this processor and build can run `isa`.
bool isa_supported(Isa isa);
/// Chooses a set (tests, benchmarks). Must be supported; not to be called while kernels run.
void set_isa(Isa isa);
std::string_view isa_name(Isa isa);

}  // namespace inlay::kernels

#if defined(__x86_64__)
#define INLAY_X86 1
#else
#define INLAY_X86 0
#endif

/// Declares the table `name` of type `Table` of one instruction set.
#define INLAY_DECLARE_TABLE(level, Table, name) \
  namespace level {                             \
  extern const Table name;                      \
  }

/// Declares the tables `name` of type `Table` that <name>.isa.cc defines, one an instruction set.
#if INLAY_X86
#define INLAY_DECLARE_TABLES(Table, name)    \
  INLAY_DECLARE_TABLE(portable, Table, name) \
  INLAY_DECLARE_TABLE(avx2, Table, name)     \
  INLAY_DECLARE_TABLE(avx512, Table, name)
#define INLAY_SELECT(name)                                               \
  (::inlay::kernels::active_isa() >= ::inlay::kernels::Isa::kAvx512      \
       ? ::inlay::kernels::avx512::name                                  \
       : (::inlay::kernels::active_isa() == ::inlay::kernels::Isa::kAvx2 \
              ? ::inlay::kernels::avx2::name                             \
              : ::inlay::kernels::portable::name))
#else
#define INLAY_DECLARE_TABLES(Table, name) INLAY_DECLARE_TABLE(portable, Table, name)
#define INLAY_SELECT(name) (::inlay::kernels::portable::name)
#endif

/// The same for files of LEVELS avx512bf16 amx, whose kernels need dot products of bf16 or int8:
/// INLAY_SELECT_DOTS is a pointer to the table, null where the processor has no such instructions.
#if INLAY_X86
#define INLAY_DECLARE_DOT_TABLES(Table, name)  \
  INLAY_DECLARE_TABLE(avx512bf16, Table, name) \
  INLAY_DECLARE_TABLE(amx, Table, name)
#define INLAY_SELECT_DOTS(name)                                                \
  (::inlay::kernels::active_isa() == ::inlay::kernels::Isa::kAmx               \
       ? &::inlay::kernels::amx::name                                          \
       : (::inlay::kernels::active_isa() == ::inlay::kernels::Isa::kAvx512Bf16 \
              ? &::inlay::kernels::avx512bf16::name                            \
              : nullptr))
#else
#define INLAY_DECLARE_DOT_TABLES(Table, name)
#define INLAY_SELECT_DOTS(name) nullptr
#endif
