// SPDX-License-Identifier: Apache-2.0
#include "nn/models/rope_config.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "core/error.h"

namespace inlay {
namespace {

constexpr std::pair<const char*, RopeType> kTypes[] = {
    {"default", RopeType::kDefault}, {"linear", RopeType::kLinear},
    {"dynamic", RopeType::kDynamic}, {"llama3", RopeType::kLlama3},
    {"yarn", RopeType::kYarn},       {"longrope", RopeType::kLongrope},
};

RopeType rope_type(const HfConfig& group) {
  const std::string key = group.has("rope_type") ? "rope_type" : "type";
  const std::string type = group.text(key, "default");
  std::string known;
  for (const auto& [name, value] : kTypes) {
    if (type == name) {
      return value;
    }
    known += str(known.empty() ? "" : ", ", name);
  }
  group.fail(key, str("\"", printable(type), "\" is not supported (", known, " are)"));
}

double above_zero(const HfConfig& group, const char* key, std::optional<double> otherwise = {}) {
  const double value = group.number(key, otherwise);
  if (!(value > 0.0)) {
    group.fail(key, str("expected a number above 0, found ", value));
  }
  return value;
}

// Zero counts as left out, as in Python's `or`.
double nonzero(const HfConfig& group, const char* key, double otherwise) {
  const double value = group.number(key, 0.0);
  return value == 0.0 ? otherwise : value;
}

// Some models turn their layers differently, and name each kind.
void refuse_kinds_of_layers(const HfConfig& group) {
  for (const auto& [key, value] : group.json().items()) {
    if (value.is_object()) {
      group.fail(key, "settings for one kind of layers are not supported");
    }
  }
}

void read_rotary_dim(const HfConfig& config, const HfConfig& group, i64 head_dim,
                     RopeConfig& rope) {
  const HfConfig& place = group.has("partial_rotary_factor") ? group : config;
  const double part = place.number("partial_rotary_factor", 1.0);
  if (!(part > 0.0 && part <= 1.0)) {
    place.fail("partial_rotary_factor", str("expected a number above 0 and up to 1, found ", part));
  }
  rope.rotary_dim = static_cast<i64>(static_cast<double>(head_dim) * part);
  if (rope.rotary_dim < 2 || rope.rotary_dim % 2 != 0) {
    place.fail("partial_rotary_factor", str(part, " of head_dim ", head_dim, " is ",
                                            rope.rotary_dim, ", which is not a number of pairs"));
  }
}

void read_llama3(const HfConfig& group, RopeConfig& rope) {
  rope.low_freq_factor = group.number("low_freq_factor");
  rope.high_freq_factor = group.number("high_freq_factor");
  if (!(rope.high_freq_factor > rope.low_freq_factor)) {
    group.fail("high_freq_factor", "expected more than low_freq_factor");
  }
}

void read_yarn(const HfConfig& group, RopeConfig& rope) {
  if (!(rope.theta > 1.0)) {
    group.fail("rope_theta", str("expected a number above 1 for yarn, found ", rope.theta));
  }
  rope.beta_fast = nonzero(group, "beta_fast", 32.0);
  rope.beta_slow = nonzero(group, "beta_slow", 1.0);
  for (const char* key : {"beta_fast", "beta_slow"}) {
    if (group.number(key, 0.0) < 0.0) {
      group.fail(key, "expected a number above 0");
    }
  }
  rope.truncate = group.flag("truncate", true);
  rope.mscale = group.number("mscale", 0.0);
  rope.mscale_all_dim = group.number("mscale_all_dim", 0.0);
}

std::vector<double> divisors(const HfConfig& group, const char* key, i64 count) {
  std::vector<double> values = group.numbers(key);
  if (static_cast<i64>(values.size()) != count) {
    group.fail(key, str("expected ", count, " numbers, one for each pair that turns, found ",
                        values.size()));
  }
  for (const double value : values) {
    if (!(value > 0.0)) {
      group.fail(key, str("expected numbers above 0, found ", value));
    }
  }
  return values;
}

void read_longrope(const HfConfig& group, RopeConfig& rope) {
  rope.short_factor = divisors(group, "short_factor", rope.rotary_dim / 2);
  rope.long_factor = divisors(group, "long_factor", rope.rotary_dim / 2);
  if (rope.original_max_positions < 2) {
    group.fail("original_max_position_embeddings", "expected at least 2 for longrope");
  }
}

void read_scaling(const HfConfig& config, const HfConfig& group, i64 max_positions,
                  RopeConfig& rope) {
  rope.max_positions = max_positions;
  const bool keeps_original = rope.type == RopeType::kLlama3 || rope.type == RopeType::kYarn ||
                              rope.type == RopeType::kLongrope;
  if (keeps_original) {
    constexpr const char* kKey = "original_max_position_embeddings";
    rope.original_max_positions = (config.has(kKey) ? config : group).integer(kKey, max_positions);
  }
  // Some families say how far they were stretched by the two lengths alone.
  std::optional<double> factor;
  if (rope.type == RopeType::kYarn || rope.type == RopeType::kLongrope) {
    factor = static_cast<double>(max_positions) / static_cast<double>(rope.original_max_positions);
    if (group.has("attention_factor")) {
      rope.attention_factor = above_zero(group, "attention_factor");
    }
  }
  rope.factor = above_zero(group, "factor", factor);
  switch (rope.type) {
    case RopeType::kLlama3:
      return read_llama3(group, rope);
    case RopeType::kYarn:
      return read_yarn(group, rope);
    case RopeType::kLongrope:
      return read_longrope(group, rope);
    case RopeType::kDynamic:
      if (rope.rotary_dim < 4) {
        group.fail("rope_type", "dynamic needs heads of which at least 4 values turn");
      }
      return;
    case RopeType::kDefault:
    case RopeType::kLinear:
      return;
  }
}

}  // namespace

std::optional<HfConfig> rope_group(const HfConfig& config) {
  for (const char* key : {"rope_scaling", "rope_parameters"}) {
    std::optional<HfConfig> group = config.object(key);
    if (group && !group->json().empty()) {
      return group;
    }
  }
  return {};
}

double rope_theta(const HfConfig& config) {
  const std::optional<HfConfig> group = rope_group(config);
  const HfConfig& place = group && group->has("rope_theta") ? *group : config;
  return above_zero(place, "rope_theta", 10000.0);
}

RopeConfig parse_rope(const HfConfig& config, i64 head_dim, i64 max_positions) {
  RopeConfig rope;
  rope.theta = rope_theta(config);
  rope.rotary_dim = head_dim;
  const std::optional<HfConfig> group = rope_group(config);
  if (group) {
    refuse_kinds_of_layers(*group);
    rope.type = rope_type(*group);
  }
  read_rotary_dim(config, group.value_or(config), head_dim, rope);
  if (rope.type != RopeType::kDefault) {
    read_scaling(config, *group, max_positions, rope);
  }
  if (const std::optional<HfConfig> gguf = config.object(kGgufRopeKey)) {
    rope.extrapolation = gguf->number("extrapolation_factor", 1.0);
    rope.magnitude = gguf->number("attention_factor", 1.0);
  }
  return rope;
}

std::optional<nlohmann::json> llama3_parameters(double theta, std::span<const float> divisors) {
  // What every Llama 3 has, but for the factor: that of the frequencies divided in full.
  RopeConfig rope;
  rope.type = RopeType::kLlama3;
  rope.theta = theta;
  rope.rotary_dim = 2 * static_cast<i64>(divisors.size());
  rope.original_max_positions = 8192;
  rope.factor = static_cast<double>(*std::ranges::max_element(divisors));
  const std::vector<double> scaled = rope_frequencies(rope).frequency;
  rope.type = RopeType::kDefault;
  const std::vector<double> plain = rope_frequencies(rope).frequency;
  for (std::size_t k = 0; k < divisors.size(); ++k) {
    const double divisor = static_cast<double>(divisors[k]);
    if (!(std::abs(plain[k] / scaled[k] - divisor) <= 1e-4 * divisor)) {  // written from floats
      return {};
    }
  }
  return nlohmann::json{{"rope_type", "llama3"},
                        {"rope_theta", theta},
                        {"factor", rope.factor},
                        {"low_freq_factor", rope.low_freq_factor},
                        {"high_freq_factor", rope.high_freq_factor},
                        {"original_max_position_embeddings", rope.original_max_positions}};
}

}  // namespace inlay
