// SPDX-License-Identifier: Apache-2.0
#include "core/kernels/adamw.h"

#include <algorithm>
#include <cmath>

#include "core/kernels/cpu/rows/adamw.isa.h"
#include "core/kernels/dynamic_code.h"
#include "core/parallel.h"

namespace inlay::kernels {
namespace {

// A multiple of kMomentBlock, so that a task has whole blocks of 8-bit moments.
constexpr i64 kValuesOfATask = 1 << 15;

AdamwFactors factors_of(const AdamwStep& step) {
  // All that is the same for every value, in double: beta2^t is near 1 for thousands of steps, and
  // 1 - beta2^t must not lose its digits to that.
  const double t = static_cast<double>(step.t);
  AdamwFactors f{};
  f.gradient = static_cast<float>(step.gradient_scale);
  f.keep = static_cast<float>(1.0 - step.learning_rate * step.weight_decay);
  f.beta1 = static_cast<float>(step.beta1);
  f.rest1 = static_cast<float>(1.0 - step.beta1);
  f.beta2 = static_cast<float>(step.beta2);
  f.rest2 = static_cast<float>(1.0 - step.beta2);
  f.inverse_root = static_cast<float>(1.0 / std::sqrt(1.0 - std::pow(step.beta2, t)));
  f.epsilon = static_cast<float>(step.epsilon);
  f.rate = static_cast<float>(step.learning_rate / (1.0 - std::pow(step.beta1, t)));
  return f;
}

// Block `block` of a moment while it is f32.
class OpenBlock {
 public:
  OpenBlock(DynamicMap map, const EightBitMoment& moment, i64 block)
      : map_(map), absmax_(moment.absmax[block]) {
    const i64 begin = block * kMomentBlock;
    const i64 end = std::min(begin + kMomentBlock, static_cast<i64>(moment.codes.size()));
    codes_ = moment.codes.subspan(begin, end - begin);
    decode_dynamic(map_, absmax_, codes_, values());
  }
  std::span<float> values() { return std::span(values_).first(codes_.size()); }
  void close() { absmax_ = encode_dynamic(map_, values(), codes_); }

 private:
  DynamicMap map_;
  float& absmax_;
  std::span<u8> codes_;
  alignas(64) float values_[kMomentBlock];
};

}  // namespace

void adamw(const AdamwStep& step, std::span<const float> g, std::span<float> p, std::span<float> m,
           std::span<float> v) {
  const AdamwFactors f = factors_of(step);
  parallel_rows(static_cast<i64>(p.size()), kValuesOfATask, [&](i64 begin, i64 end) {
    INLAY_SELECT(adamws).step(f, g.data() + begin, p.data() + begin, m.data() + begin,
                              v.data() + begin, end - begin);
  });
}

void adamw_8bit(const AdamwStep& step, std::span<const float> g, std::span<float> p,
                const EightBitMoment& m, const EightBitMoment& v) {
  const AdamwFactors f = factors_of(step);
  const auto blocks = static_cast<i64>(m.absmax.size());
  parallel_rows(blocks, kValuesOfATask / kMomentBlock, [&](i64 begin, i64 end) {
    for (i64 block = begin; block < end; ++block) {
      OpenBlock first(DynamicMap::kSigned, m, block);
      OpenBlock second(DynamicMap::kUnsigned, v, block);
      const i64 at = block * kMomentBlock;
      INLAY_SELECT(adamws).step(f, g.data() + at, p.data() + at, first.values().data(),
                                second.values().data(), static_cast<i64>(first.values().size()));
      // p has moved by the moments as computed; only now are they rounded.
      first.close();
      second.close();
    }
  });
}

}  // namespace inlay::kernels
