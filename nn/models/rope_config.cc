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
    {"default", RopeType::kDefault},
    {"linear", RopeType::kLinear},
    {"dynamic", RopeType::kDynamic},
    {"llama3", RopeType::kLlama3},
    {"yarn", RopeType::kYarn},
    {"longrope", RopeType::kLongrope},
    {"proportional", RopeType::kProportional},
};

RopeType rope_type(const HfConfig& group, const RopeRules& rules) {
  const std::string key = group.has("rope_type") ? "rope_type" : "type";
  const std::string type = group.text(key, "default");
  if (rules.longrope_alone) {
    if (type == "longrope" || type == "su" || type == "yarn") {
      return RopeType::kLongrope;
    }
    if (type != "default") {
      group.fail(key, str("\"", printable(type), "\" is not supported (default, longrope are)"));
    }
  }
  // Zero counts as left out, as in Python.
  if (type == "dynamic" && rules.ntk_alpha && group.number("alpha", 0.0) != 0.0) {
    return RopeType::kNtkAlpha;
  }
  std::string known;
  for (const auto& [name, value] : kTypes) {
    if (type == name) {
      return value;
    }
    known += str(known.empty() ? "" : ", ", name);
  }
  group.fail(key, str("\"", printable(type), "\" is not supported (", known, " are)"));
}

double above_zero(const HfConfig& group, std::string_view key,
                  std::optional<double> otherwise = {}) {
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

// The settings of one type of layer. A rope_scaling of Transformers 4 is that of full attention,
// and is put over what rope_parameters says key by key, as there.
std::optional<HfConfig> layer_group(const HfConfig& config, const std::string& layer_type) {
  nlohmann::json settings = {{"rope_type", "default"}};
  if (const std::optional<HfConfig> all = config.object("rope_parameters")) {
    if (const std::optional<HfConfig> own = all->object(layer_type)) {
      settings = own->json();
    }
  }
  const std::optional<HfConfig> scaling = config.object("rope_scaling");
  if (scaling && layer_type == "full_attention") {
    settings.update(scaling->json());
  }
  if (!config.has("rope_parameters")) {  // complaints name the key that is in the file
    return HfConfig({{"rope_scaling", settings}}, config.file()).object("rope_scaling");
  }
  const HfConfig whole({{"rope_parameters", {{layer_type, settings}}}}, config.file());
  return whole.object("rope_parameters")->object(layer_type);
}

double read_theta(const HfConfig& config, const std::optional<HfConfig>& group,
                  const RopeRules& rules) {
  if (group && group->has("rope_theta")) {
    return above_zero(*group, "rope_theta");
  }
  return rules.theta_key.empty() ? rules.theta : above_zero(config, rules.theta_key, rules.theta);
}

void read_rotary_dim(const HfConfig& config, const std::optional<HfConfig>& group,
                     const RopeRules& rules, RopeConfig& rope) {
  const bool in_group = group && group->has("partial_rotary_factor");
  const HfConfig& place = in_group ? *group : config;
  const std::string key = in_group ? "partial_rotary_factor" : rules.partial_key;
  const double part = place.number(key, rules.partial.value_or(1.0));
  if (!(part > 0.0 && part <= 1.0)) {
    place.fail(key, str("expected a number above 0 and up to 1, found ", part));
  }
  rope.rotary_dim = rules.head_dim;
  if (rope.type == RopeType::kProportional) {
    rope.proportion = part;
  } else if (rules.partial) {
    rope.rotary_dim = static_cast<i64>(static_cast<double>(rules.head_dim) * part);
  } else if (part != 1.0 && rope.type != RopeType::kDefault && rope.type != RopeType::kNtkAlpha) {
    // Without a scaling such families turn whole heads in Transformers, and with one its shapes do
    // not fit.
    place.fail(key, "is not supported with a scaling: heads of this family turn whole");
  }
  if (rope.pairs() < 1) {
    place.fail(key, str(part, " of head_dim ", rules.head_dim, " leaves no pair to turn"));
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
  rope.short_factor = divisors(group, "short_factor", rope.pairs());
  rope.long_factor = divisors(group, "long_factor", rope.pairs());
  if (rope.original_max_positions < 2) {
    group.fail("original_max_position_embeddings", "expected at least 2 for longrope");
  }
}

// The length before the stretching. The outer key goes first where there is one group for all
// layers, and Phi-3's class has one whatever the file says.
i64 original_positions(const HfConfig& config, const HfConfig& group, const RopeRules& rules) {
  constexpr const char* kKey = "original_max_position_embeddings";
  constexpr i64 kPhi3Positions = 4096;
  if (rules.longrope_alone) {
    return config.integer(kKey, kPhi3Positions);
  }
  const bool outer = rules.layer_type.empty() && config.has(kKey);
  return (outer ? config : group).integer(kKey, rules.max_positions);
}

void read_scaling(const HfConfig& config, const HfConfig& group, const RopeRules& rules,
                  RopeConfig& rope) {
  rope.max_positions = rules.max_positions;
  const bool keeps_original = rope.type == RopeType::kLlama3 || rope.type == RopeType::kYarn ||
                              rope.type == RopeType::kLongrope;
  if (keeps_original) {
    rope.original_max_positions = original_positions(config, group, rules);
  }
  if (rope.type == RopeType::kNtkAlpha) {  // has a factor, too, which does not count
    rope.alpha = above_zero(group, "alpha");
    return;
  }
  // Some families say how far they were stretched by the two lengths alone.
  std::optional<double> factor;
  if (rope.type == RopeType::kYarn || rope.type == RopeType::kLongrope) {
    factor =
        static_cast<double>(rules.max_positions) / static_cast<double>(rope.original_max_positions);
    if (group.has("attention_factor")) {
      rope.attention_factor = above_zero(group, "attention_factor");
    }
  } else if (rope.type == RopeType::kProportional) {
    factor = 1.0;
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
    case RopeType::kDefault:
    case RopeType::kNtkAlpha:
    case RopeType::kLinear:
    case RopeType::kProportional:
      return;
  }
}

void read_query_growth(const HfConfig& group, RopeConfig& rope) {
  rope.query_growth = group.number("llama_4_scaling_beta", 0.0);
  if (rope.query_growth < 0.0) {
    group.fail("llama_4_scaling_beta", str("expected a number from 0, found ", rope.query_growth));
  }
  if (rope.query_growth > 0.0) {
    rope.query_growth_positions = rope.original_max_positions > 0
                                      ? rope.original_max_positions
                                      : group.integer("original_max_position_embeddings");
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
  return read_theta(config, rope_group(config), {});
}

std::vector<std::string> rope_types() {
  std::vector<std::string> names;
  for (const auto& [name, value] : kTypes) {
    names.emplace_back(name);
  }
  return names;
}

HfConfig with_rope_parameters(const HfConfig& config, const nlohmann::json& rope_parameters) {
  if (config.has("rope_parameters")) {
    return config;
  }
  nlohmann::json json = config.json();
  json["rope_parameters"] = rope_parameters;
  return {json, config.file()};
}

std::vector<bool> layers_with_rope(const HfConfig& config, i64 layers, i64 interval) {
  std::vector<bool> out;
  if (config.has("no_rope_layers")) {
    for (const double flag : config.numbers("no_rope_layers")) {
      out.push_back(flag != 0.0);
    }
    if (static_cast<i64>(out.size()) != layers) {
      config.fail("no_rope_layers",
                  str("expected ", layers, " numbers, one a layer, found ", out.size()));
    }
    return out;
  }
  const i64 every = config.integer("no_rope_layer_interval", interval);
  for (i64 i = 0; i < layers; ++i) {
    out.push_back((i + 1) % every != 0);
  }
  return out;
}

RopeConfig parse_rope(const HfConfig& config, const RopeRules& rules) {
  RopeConfig rope;
  rope.order = rules.order;
  rope.backwards = rules.backwards;
  const std::optional<HfConfig> group =
      rules.layer_type.empty() ? rope_group(config) : layer_group(config, rules.layer_type);
  rope.theta = read_theta(config, group, rules);
  if (group) {
    refuse_kinds_of_layers(*group);
    rope.type = rope_type(*group, rules);
  }
  read_rotary_dim(config, group, rules, rope);
  if (rope.type != RopeType::kDefault) {
    read_scaling(config, *group, rules, rope);
  }
  if ((rope.type == RopeType::kDynamic || rope.type == RopeType::kNtkAlpha) &&
      rope.rotary_dim < 4) {
    group->fail("rope_type", "dynamic needs heads of which at least 4 values turn");
  }
  if (rope.type == RopeType::kYarn && !rules.layer_type.empty()) {
    // Transformers looks for it beside the types of layers.
    const std::optional<HfConfig> all = config.object("rope_parameters");
    rope.truncate = !all || all->flag("truncate", true);
  }
  rope.outgrown_anew = rules.longrope_alone;
  if (rules.query_growth && group) {
    read_query_growth(*group, rope);
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
