// SPDX-License-Identifier: Apache-2.0
#include "core/kernels/cpu/rows/activation.isa.h"

#include "core/kernels/cpu/isa/simd.h"

namespace inlay::kernels::INLAY_ISA {
namespace {

struct ValueAndSlope {
  Vec value;
  Vec slope;
};

struct Silu {
  // s = sigmoid(x):  silu = x s,  silu' = s (1 + x (1 - s))
  static Vec value(Vec x) { return x * sigmoid(x); }
  static ValueAndSlope both(Vec x) {
    const Vec s = sigmoid(x);
    const Vec one = Vec::set(1.0F);
    // silu' = s (1 + x (1 - s)): the sigmoid is computed once for both.
    return {x * s, s * fma(x, one - s, one)};
  }
};

struct GeluTanh {
  // With t = tanh(c (x + a x^3)):
  //   gelu  = x (1 + t) / 2
  //   gelu' = (1 + t) / 2 + x (1 - t^2) c (1 + 3 a x^2) / 2
  static constexpr float kC = 0.7978845608F;  // sqrt(2 / pi)
  static constexpr float kA = 0.044715F;
  static Vec inner(Vec x) {
    const Vec cubic = fma(x * x, Vec::set(kA), Vec::set(1.0F));
    return tanh(x * cubic * Vec::set(kC));
  }
  static Vec value(Vec x) { return x * (Vec::set(0.5F) * (Vec::set(1.0F) + inner(x))); }
  static ValueAndSlope both(Vec x) {
    const Vec one = Vec::set(1.0F);
    const Vec half = Vec::set(0.5F);
    const Vec t = inner(x);
    const Vec grow = half * (one + t);
    const Vec slope_inner = fma(x * x, Vec::set(3.0F * kA * kC), Vec::set(kC));
    return {x * grow, fma(half * x * (one - t * t), slope_inner, grow)};
  }
};

struct GeluErf {
  // gelu  = x Phi(x)
  // gelu' = Phi(x) + x phi(x), phi the normal density
  // erf comes from the C library, lane by lane.
  static Vec distribution(Vec x) {
    float lanes[Vec::kLanes];
    x.store(lanes);
    for (float& v : lanes) {
      v = 0.5F * (1.0F + __builtin_erff(v * 0.70710678F));
    }
    return Vec::load(lanes);
  }
  static Vec value(Vec x) { return x * distribution(x); }
  static ValueAndSlope both(Vec x) {
    const Vec phi = Vec::set(0.39894228F) * exp(Vec::set(-0.5F) * x * x);
    const Vec p = distribution(x);
    return {x * p, fma(x, phi, p)};
  }
};

struct Relu {
  static Vec value(Vec x) { return max(x, Vec::zero()); }
  static ValueAndSlope both(Vec x) {
    // 0 at 0, as everywhere.
    return {value(x), select_less(Vec::zero(), x, Vec::set(1.0F), Vec::zero())};
  }
};

struct Relu2 {
  static Vec value(Vec x) {
    const Vec positive = max(x, Vec::zero());
    return positive * positive;
  }
  static ValueAndSlope both(Vec x) {
    const Vec positive = max(x, Vec::zero());
    return {positive * positive, positive + positive};
  }
};

// Calls body with the chosen function as a type, so that its loop holds no branch.
template <class Body>
void with_activation(Activation kind, Body body) {
  switch (kind) {
    case Activation::kSilu:
      return body(Silu());
    case Activation::kGelu:
      return body(GeluErf());
    case Activation::kGeluTanh:
      return body(GeluTanh());
    case Activation::kRelu:
      return body(Relu());
    case Activation::kRelu2:
      return body(Relu2());
  }
}

void forward(Activation kind, const float* x, float* y, i64 n) {
  with_activation(kind, [&](auto act) {
    sweep(n, [&](i64 i, auto lanes) { store(act.value(load(x + i, lanes)), y + i, lanes); });
  });
}

void backward(Activation kind, const float* x, const float* dy, float* dx, float* y, i64 n) {
  with_activation(kind, [&](auto act) {
    sweep(n, [&](i64 i, auto lanes) {
      const ValueAndSlope a = act.both(load(x + i, lanes));
      store(load(dy + i, lanes) * a.slope, dx + i, lanes);
      if (y != nullptr) {
        store(a.value, y + i, lanes);
      }
    });
  });
}

template <class Value>
void gated(Activation kind, const Value* gate, const Value* up, Value* y, i64 n) {
  with_activation(kind, [&](auto act) {
    sweep(n, [&](i64 i, auto lanes) {
      store(act.value(load(gate + i, lanes)) * load(up + i, lanes), y + i, lanes);
    });
  });
}

template <class Value>
void gated_backward(Activation kind, const Value* gate, const Value* up, const Value* dy,
                    Value* dgate, Value* dup, Value* y, i64 n) {
  with_activation(kind, [&](auto act) {
    sweep(n, [&](i64 i, auto lanes) {
      const ValueAndSlope a = act.both(load(gate + i, lanes));
      // All three inputs are read before anything is stored: outputs may be inputs.
      const Vec d = load(dy + i, lanes);
      const Vec u = load(up + i, lanes);
      store(d * u * a.slope, dgate + i, lanes);
      store(d * a.value, dup + i, lanes);
      if (y != nullptr) {
        store(a.value * u, y + i, lanes);
      }
    });
  });
}

template <class Lanes>
Vec factor(const float* factors, i64 i, Lanes lanes) {
  return factors == nullptr ? Vec::set(1.0F) : load(factors + i, lanes);
}

template <class Value>
void scaled_gate(const ScaledGate<Value>& args, i64 row, i64 rows, Value* h) {
  with_activation(args.activation, [&](auto act) {
    for (i64 r = row; r < row + rows; ++r) {
      const Value* gate = args.gate + r * args.stride;
      const Value* up = args.up + r * args.stride;
      sweep(args.width, [&](i64 i, auto lanes) {
        const Vec g = load(gate + i, lanes) * factor(args.gate_factors, i, lanes);
        const Vec u = load(up + i, lanes) * factor(args.up_factors, i, lanes);
        store(act.value(g) * u, h + r * args.width + i, lanes);
      });
    }
  });
}

/// kRows rows, whose sums go through memory once for all of them. With y = s z for gate and up:
///   dz = s dy   ds = sum over rows of dy z
template <i64 kRows, class Act, class Value>
void gate_gradients(Act act, const ScaledGate<Value>& args, const ScaledGateGradients<Value>& out,
                    i64 row, float* sums) {
  const i64 first = row * args.stride;
  Value* dh = out.dh.data() + row * args.width;
  sweep(args.width, [&](i64 i, auto lanes) {
    const Vec gate_factor = factor(args.gate_factors, i, lanes);
    const Vec up_factor = factor(args.up_factors, i, lanes);
    Vec gate_sum = load(sums + i, lanes);
    Vec up_sum = load(sums + args.width + i, lanes);
    for (i64 r = 0; r < kRows; ++r) {
      const i64 at = first + r * args.stride + i;
      Value* const dh_row = dh + r * args.width + i;
      // All three inputs are read before anything is stored: outputs may be inputs.
      const Vec gate = load(args.gate + at, lanes);
      const Vec up = load(args.up + at, lanes);
      const Vec d = load(dh_row, lanes);
      const Vec u = up * up_factor;
      const ValueAndSlope a = act.both(gate * gate_factor);
      const Vec dgate = d * u * a.slope;
      const Vec dup = d * a.value;
      gate_sum = fma(dgate, gate, gate_sum);
      up_sum = fma(dup, up, up_sum);
      store(dgate * gate_factor, out.dgate + at, lanes);
      store(dup * up_factor, out.dup + at, lanes);
      if (out.wants_h) {
        store(a.value * u, dh_row, lanes);
      }
    }
    store(gate_sum, sums + i, lanes);
    store(up_sum, sums + args.width + i, lanes);
  });
}

template <class Value>
void scaled_gate_backward(const ScaledGate<Value>& args, const ScaledGateGradients<Value>& out,
                          i64 row, i64 rows, float* sums) {
  constexpr i64 kTogether = 4;
  for (i64 i = 0; i < 2 * args.width; ++i) {
    sums[i] = 0.0F;
  }
  const i64 end = row + rows;
  with_activation(args.activation, [&](auto act) {
    for (; row + kTogether <= end; row += kTogether) {
      gate_gradients<kTogether>(act, args, out, row, sums);
    }
    for (; row < end; ++row) {
      gate_gradients<1>(act, args, out, row, sums);
    }
  });
}

}  // namespace

extern const ActivationTable activations = {
    forward,
    backward,
    gated<float>,
    gated_backward<float>,
    gated<u16>,
    gated_backward<u16>,
    scaled_gate<float>,
    scaled_gate<u16>,
    scaled_gate_backward<float>,
    scaled_gate_backward<u16>,
};

}  // namespace inlay::kernels::INLAY_ISA
