// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/error.h"
#include "nn/models/gguf_config.h"
#include "nn/models/rope_config.h"

namespace inlay {
namespace {

using Json = nlohmann::json;

std::vector<double> divisors_of(const GgufFile& file, const std::string& name) {
  const GgufTensor& tensor = file.tensor(name);
  if (tensor.type->name != "F32") {
    throw DataError(
        str(file.path(), ": \"", tensor.name, "\": expected F32, found ", tensor.type->name));
  }
  std::vector<float> divisors(tensor.data.size() / sizeof(float));
  std::memcpy(divisors.data(), tensor.data.data(), divisors.size() * sizeof(float));
  return {divisors.begin(), divisors.end()};
}

// The share s of n for which floor(s n) is `count`.
double share(i64 count, i64 n) {
  double s = static_cast<double>(count) / static_cast<double>(n);
  while (static_cast<i64>(s * static_cast<double>(n)) < count) {
    s = std::nextafter(s, 2.0);
  }
  return s;
}

// How the frequencies are stretched, by llama.cpp's rules (llama_context's constructor and
// ggml_rope_yarn):
//   - without a type it is linear; with "none" the factor does not count;
//   - yarn_ext_factor is 1 for yarn and 0 otherwise unless the file says it, and the ramp is used
//     whenever it is not 0;
//   - attn_factor multiplies the cosines and sines of every type, and with the ramp yarn's own
//     0.1 ln(factor) + 1 comes on top, divided by the same for yarn_log_multiplier;
//   - divisors one by one are used wherever the file has them, whatever the type.
// The converter keeps attention_factor of config.json in yarn_attn_factor, which llama.cpp passes
// over when the ramp is used: GgufRopeRules says which of the two counts.
class RopeScaling {
 public:
  RopeScaling(const GgufKeys& keys, const GgufRopeRules& rules)
      : keys_(keys), rules_(rules), type_(keys.text("rope.scaling.type", "linear")) {
    constexpr std::string_view kTypes[] = {"none", "linear", "yarn", "longrope"};
    if (std::ranges::find(kTypes, type_) == std::end(kTypes)) {
      keys_.fail(
          "rope.scaling.type",
          str("\"", printable(type_), "\" is not supported (none, linear, yarn, longrope are)"));
    }
    factor_ = keys.has("rope.scaling.factor") ? keys.number("rope.scaling.factor")
                                              : keys.number("rope.scale_linear", 1.0);
    if (factor_ < 0.0 || !std::isfinite(factor_)) {
      keys_.fail("rope.scaling.factor", str("expected a number above 0, found ", factor_));
    }
    if (factor_ == 0.0 || type_ == "none") {
      factor_ = 1.0;
    }
    attention_ = keys.number("rope.scaling.attn_factor", 1.0);
    const double given = keys.number("rope.scaling.yarn_ext_factor", -1.0);
    extrapolation_ = given >= 0.0 ? given : type_ == "yarn" ? 1.0 : 0.0;
  }

  // The scaling in `rope`, an object of rope_parameters, and what it has no words for in `config`.
  void write(Json& rope, Json& config) const {
    Json beyond = Json::object();  // what rope_parameters has no words for
    if (extrapolation_ != 0.0) {
      write_yarn(rope);
      if (extrapolation_ != 1.0) {
        beyond["extrapolation_factor"] = extrapolation_;
      }
    } else if (type_ == "longrope" ||
               keys_.file().find_tensor("rope_factors_long.weight") != nullptr) {
      write_longrope(rope);
      // Phi-3's class has it beside the others.
      config["original_max_position_embeddings"] = rope["original_max_position_embeddings"];
    } else {
      if (factor_ != 1.0) {
        rope["rope_type"] = "linear";
        rope["factor"] = factor_;
      }
      const double attention = attention_ * keys_.number("rope.scaling.yarn_attn_factor", 1.0);
      if (attention != 1.0) {
        beyond["attention_factor"] = attention;
      }
    }
    if (!beyond.empty()) {
      config[kGgufRopeKey] = std::move(beyond);
    }
  }

 private:
  i64 original_length() const {
    const i64 original = keys_.integer("rope.scaling.original_context_length", 0);
    return original != 0 ? original : keys_.integer("context_length");
  }

  void write_yarn(Json& rope) const {
    rope["rope_type"] = "yarn";
    rope["factor"] = factor_;
    rope["original_max_position_embeddings"] = original_length();
    rope["beta_fast"] = keys_.number("rope.scaling.yarn_beta_fast", 32.0);
    rope["beta_slow"] = keys_.number("rope.scaling.yarn_beta_slow", 1.0);
    const double multiplier = keys_.number("rope.scaling.yarn_log_multiplier", 0.0);
    if (rules_.yarn_attention_factor && keys_.has("rope.scaling.yarn_attn_factor")) {
      rope["attention_factor"] = attention_ * keys_.number("rope.scaling.yarn_attn_factor");
    } else if (attention_ != 1.0 || multiplier != 0.0) {
      const auto grown = [&](double m) {
        return factor_ <= 1.0 ? 1.0 : 0.1 * m * std::log(factor_) + 1.0;
      };
      rope["attention_factor"] =
          attention_ * grown(1.0) / (multiplier != 0.0 ? grown(multiplier) : 1.0);
    }
  }

  void write_longrope(Json& rope) const {
    rope["rope_type"] = "longrope";
    rope["factor"] = factor_;
    rope["original_max_position_embeddings"] = original_length();
    rope["attention_factor"] = attention_;
    for (const char* length : {"short", "long"}) {
      Json& list = rope[str(length, "_factor")] = Json::array();
      for (const double divisor :
           divisors_of(keys_.file(), str("rope_factors_", length, ".weight"))) {
        list.push_back(divisor * factor_);
      }
    }
  }

  const GgufKeys& keys_;
  const GgufRopeRules& rules_;
  std::string type_;
  double factor_ = 1.0, attention_ = 1.0, extrapolation_ = 0.0;
};

// How much of a head turns: all of it, too, where the family has another default.
void write_part(const GgufKeys& keys, const GgufRopeRules& rules, Json& rope) {
  const i64 rotary = keys.integer("rope.dimension_count", rules.head_dim);
  if (!rules.partial) {
    if (rotary != rules.head_dim) {
      keys.fail("rope.dimension_count", str("expected the ", rules.head_dim,
                                            " of a head, which turns whole, found ", rotary));
    }
    return;
  }
  if (rotary < 1 || rotary > rules.head_dim) {
    keys.fail("rope.dimension_count",
              str("expected 1 to the ", rules.head_dim, " values of a head, found ", rotary));
  }
  rope["partial_rotary_factor"] = share(rotary, rules.head_dim);
}

// Gemma 4's divisors are 1 for the pairs that turn, and beyond all numbers for those that do not.
void write_proportion(const GgufKeys& keys, const GgufRopeRules& rules, Json& rope) {
  if (keys.file().find_tensor(kGgufRopeDivisors) == nullptr) {
    return;
  }
  const std::vector<double> divisors = divisors_of(keys.file(), kGgufRopeDivisors);
  const auto turned = std::ranges::find_if(divisors, [](double d) { return d != 1.0; });
  const bool rest_stays = std::all_of(turned, divisors.end(), [](double d) { return d > 1e20; });
  if (static_cast<i64>(divisors.size()) != rules.head_dim / 2 || !rest_stays ||
      turned == divisors.begin()) {
    throw DataError(str(keys.file().path(), ": \"", kGgufRopeDivisors, "\": expected ",
                        rules.head_dim / 2,
                        " numbers, 1 for pairs that turn and above 1e20 for the rest"));
  }
  rope["rope_type"] = "proportional";
  rope["partial_rotary_factor"] = share(turned - divisors.begin(), rules.head_dim / 2);
}

}  // namespace

void write_gguf_rope(const GgufKeys& keys, const GgufRopeRules& rules, Json& config) {
  Json rope = {{"rope_type", "default"},
               {"rope_theta", keys.number("rope.freq_base", rules.theta)}};
  write_part(keys, rules, rope);
  RopeScaling(keys, rules).write(rope, config);
  if (rules.proportional) {
    write_proportion(keys, rules, rope);
  }
  if (keys.has("attention.temperature_scale")) {
    rope["llama_4_scaling_beta"] = keys.number("attention.temperature_scale");
    rope["original_max_position_embeddings"] =
        keys.integer("rope.scaling.original_context_length", keys.integer("context_length"));
  }
  if (rules.sliding_theta) {
    const double theta = keys.number("rope.freq_base_swa", *rules.sliding_theta);
    config["rope_parameters"] = {
        {"full_attention", std::move(rope)},
        {"sliding_attention", {{"rope_type", "default"}, {"rope_theta", theta}}}};
  } else {
    config["rope_parameters"] = std::move(rope);
  }
}

}  // namespace inlay
