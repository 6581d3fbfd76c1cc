// SPDX-License-Identifier: Apache-2.0
#include "nn/rotary.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numbers>

#include "core/error.h"

namespace inlay {
namespace {

double llama3_frequency(const RopeConfig& c, double f) {
  const double wavelength = 2.0 * std::numbers::pi / f;
  const double L0 = static_cast<double>(c.original_max_positions);
  if (wavelength < L0 / c.high_freq_factor) {
    return f;
  }
  if (wavelength > L0 / c.low_freq_factor) {
    return f / c.factor;
  }
  const double t = (L0 / wavelength - c.low_freq_factor) / (c.high_freq_factor - c.low_freq_factor);
  return f * ((1.0 - t) / c.factor + t);
}

// The dimension whose pair turns `turns` times over the original length.
double yarn_dimension(const RopeConfig& c, double turns) {
  const double L0 = static_cast<double>(c.original_max_positions);
  return static_cast<double>(c.rotary_dim) * std::log(L0 / (turns * 2.0 * std::numbers::pi)) /
         (2.0 * std::log(c.theta));
}

void apply_yarn(const RopeConfig& c, std::vector<double>& f) {
  double low = yarn_dimension(c, c.beta_fast);
  double high = yarn_dimension(c, c.beta_slow);
  if (c.truncate) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, static_cast<double>(c.rotary_dim - 1));
  if (low == high) {
    high += 0.001;  // a ramp needs a width
  }
  for (std::size_t k = 0; k < f.size(); ++k) {
    const double ramp = std::clamp((static_cast<double>(k) - low) / (high - low), 0.0, 1.0);
    const double kept = (1.0 - ramp) * c.extrapolation;
    const double divided = c.extrapolation == 1.0 ? ramp : 1.0 - kept;
    f[k] = f[k] / c.factor * divided + f[k] * kept;
  }
}

double yarn_attention_factor(const RopeConfig& c) {
  if (c.attention_factor > 0.0) {
    return c.attention_factor;
  }
  const auto grown = [&](double m) {
    return c.factor <= 1.0 ? 1.0 : 0.1 * m * std::log(c.factor) + 1.0;
  };
  return c.mscale != 0.0 && c.mscale_all_dim != 0.0 ? grown(c.mscale) / grown(c.mscale_all_dim)
                                                    : grown(1.0);
}

double longrope_attention_factor(const RopeConfig& c) {
  if (c.attention_factor > 0.0 || c.factor <= 1.0) {
    return c.attention_factor > 0.0 ? c.attention_factor : 1.0;
  }
  return std::sqrt(1.0 +
                   std::log(c.factor) / std::log(static_cast<double>(c.original_max_positions)));
}

// NTK-aware scaling: a base that divides the lowest frequency by `stretch` and keeps the highest.
double stretched_theta(const RopeConfig& c, double stretch) {
  const double dim = static_cast<double>(c.rotary_dim);
  return c.theta * std::pow(stretch, dim / (dim - 2.0));
}

double base_of(const RopeConfig& c, i64 length) {
  if (c.type == RopeType::kNtkAlpha) {
    return stretched_theta(c, c.alpha);
  }
  if (c.type == RopeType::kDynamic && length > c.max_positions) {
    const double n = static_cast<double>(length);
    const double M = static_cast<double>(c.max_positions);
    return stretched_theta(c, c.factor * n / M - (c.factor - 1.0));
  }
  return c.theta;
}

// Lengths of one number have the same frequencies.
i64 regime_of(const RopeConfig& c, i64 length) {
  switch (c.type) {
    case RopeType::kDynamic:
      return std::max(length, c.max_positions);
    case RopeType::kLongrope:
      return length > c.original_max_positions ? 1 : 0;
    default:
      return 0;
  }
}

RopeTables make_tables(const RopeConfig& config, const RopeFrequencies& f, i64 positions) {
  const i64 half = static_cast<i64>(f.frequency.size());
  const double sign = config.backwards ? -1.0 : 1.0;
  std::vector<float> cosines(static_cast<std::size_t>(positions * half));
  std::vector<float> sines(cosines.size());
  for (i64 p = 0; p < positions; ++p) {
    for (i64 k = 0; k < half; ++k) {
      // Frequency and angle are rounded to f32, as the models were trained.
      const float angle = static_cast<float>(p) * static_cast<float>(f.frequency[k]);
      cosines[p * half + k] =
          static_cast<float>(std::cos(static_cast<double>(angle)) * f.attention_factor);
      sines[p * half + k] =
          static_cast<float>(sign * std::sin(static_cast<double>(angle)) * f.attention_factor);
    }
  }
  const Shape shape = {positions, half};
  const bool proportional = config.type == RopeType::kProportional;
  return {Tensor::from(cosines, shape), Tensor::from(sines, shape), config.order,
          proportional ? config.rotary_dim / 2 : half};
}

// The tables of queries, whose rows grow with their positions.
RopeTables grown(const RopeConfig& config, const RopeTables& tables) {
  const auto scaled = [&](const Tensor& table) {
    std::vector<float> values = table.to_vector();
    const i64 pairs = table.dim(1);
    for (i64 p = 0; p < table.dim(0); ++p) {
      const double steps = static_cast<double>(p / config.query_growth_positions);
      const float factor = static_cast<float>(1.0 + config.query_growth * std::log1p(steps));
      for (i64 k = 0; k < pairs; ++k) {
        values[p * pairs + k] *= factor;
      }
    }
    return Tensor::from(values, table.shape());
  };
  RopeTables out = tables;
  out.cosines = scaled(tables.cosines);
  out.sines = scaled(tables.sines);
  return out;
}

}  // namespace

i64 RopeConfig::pairs() const {
  const i64 all = (rotary_dim + 1) / 2;
  if (type != RopeType::kProportional) {
    return all;
  }
  return std::min(all, static_cast<i64>(proportion * static_cast<double>(rotary_dim) / 2.0));
}

RopeFrequencies rope_frequencies(const RopeConfig& config, i64 length) {
  const double theta = base_of(config, length);
  RopeFrequencies out;
  for (i64 k = 0; k < config.pairs(); ++k) {
    out.frequency.push_back(
        std::pow(theta, -2.0 * static_cast<double>(k) / static_cast<double>(config.rotary_dim)));
  }
  switch (config.type) {
    case RopeType::kDefault:
    case RopeType::kDynamic:
    case RopeType::kNtkAlpha:
      break;
    case RopeType::kLinear:
    case RopeType::kProportional:
      for (double& f : out.frequency) {
        f /= config.factor;
      }
      break;
    case RopeType::kLlama3:
      for (double& f : out.frequency) {
        f = llama3_frequency(config, f);
      }
      break;
    case RopeType::kYarn:
      apply_yarn(config, out.frequency);
      out.attention_factor = yarn_attention_factor(config);
      break;
    case RopeType::kLongrope: {
      const std::vector<double>& divisors =
          length > config.original_max_positions ? config.long_factor : config.short_factor;
      std::ranges::transform(out.frequency, divisors, out.frequency.begin(), std::divides<>());
      out.attention_factor = longrope_attention_factor(config);
      break;
    }
  }
  out.attention_factor *= config.magnitude;
  return out;
}

RotaryEmbedding::RotaryEmbedding(const RopeConfig& config) : RotaryEmbedding(config, {}) {}

RotaryEmbedding::RotaryEmbedding(const RopeConfig& config, std::span<const float> divisors)
    : config_(config), divisors_(divisors.begin(), divisors.end()) {
  INLAY_ASSERT(divisors.empty() || static_cast<i64>(divisors.size()) == config.pairs());
}

const RopeTables& RotaryEmbedding::tables(std::span<const i32> positions) const {
  const i64 needed = positions.empty() ? 1 : i64{*std::ranges::max_element(positions)} + 1;
  if (const i64 regime = regime_of(config_, needed); regime != regime_) {
    regime_ = regime;
    frequencies_ = rope_frequencies(config_, needed);
    for (std::size_t k = 0; k < divisors_.size(); ++k) {
      frequencies_.frequency[k] /= static_cast<double>(divisors_[k]);
    }
    tables_ = {};
  }
  if (!tables_.cosines.defined() || tables_.cosines.dim(0) < needed) {
    // Grown by half at least, so that generation does not rebuild it with every token.
    const i64 had = tables_.cosines.defined() ? tables_.cosines.dim(0) : 0;
    tables_ = make_tables(config_, frequencies_, std::max(needed, had + had / 2));
    query_tables_ = config_.query_growth > 0.0 ? grown(config_, tables_) : tables_;
  }
  return tables_;
}

const RopeTables& RotaryEmbedding::query_tables(std::span<const i32> positions) const {
  tables(positions);
  return query_tables_;
}

}  // namespace inlay
