// SPDX-License-Identifier: Apache-2.0
#include "core/kernels/convert.h"

#include "core/kernels/cpu/rows/convert.isa.h"
#include "core/parallel.h"

namespace inlay::kernels {
namespace {

constexpr i64 kConvertGrain = 1 << 16;  // elements a task converts: about 10 us

template <class From, class To>
void convert_all(void (*loop)(const From*, To*, i64), std::span<const From> x, std::span<To> y) {
  parallel_rows(static_cast<i64>(x.size()), kConvertGrain,
                [&](i64 begin, i64 end) { loop(x.data() + begin, y.data() + begin, end - begin); });
}

}  // namespace

void bf16_to_f32(std::span<const u16> x, std::span<float> y) {
  convert_all(INLAY_SELECT(convert).bf16_to_f32, x, y);
}
void f16_to_f32(std::span<const u16> x, std::span<float> y) {
  convert_all(INLAY_SELECT(convert).f16_to_f32, x, y);
}
void f32_to_bf16(std::span<const float> x, std::span<u16> y) {
  convert_all(INLAY_SELECT(convert).f32_to_bf16, x, y);
}
void f32_to_f16(std::span<const float> x, std::span<u16> y) {
  convert_all(INLAY_SELECT(convert).f32_to_f16, x, y);
}

}  // namespace inlay::kernels
