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

// How the frequencies are stretched, by llama.cpp's rules (llama_context's constructor and
// ggml_rope_yarn):
//   - without a type it is linear; with "none" the factor does not count;
//   - yarn_ext_factor is 1 for yarn and 0 otherwise unless the file says it, and the ramp is used
//     whenever it is not 0;
//   - attn_factor multiplies the cosines and sines of every type, and with the ramp yarn's own
//     0.1 ln(factor) + 1 comes on top, divided by the same for yarn_log_multiplier.
class RopeScaling {
 public:
  explicit RopeScaling(const GgufKeys& keys)
      : keys_(keys), type_(keys.text("rope.scaling.type", "linear")) {
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

  void write(Json& config) const {
    Json& rope = config["rope_parameters"];
    Json beyond = Json::object();  // what rope_parameters has no words for
    if (extrapolation_ != 0.0) {
      write_yarn(rope);
      if (extrapolation_ != 1.0) {
        beyond["extrapolation_factor"] = extrapolation_;
      }
    } else if (type_ == "longrope") {
      write_longrope(rope);
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
    if (attention_ != 1.0 || multiplier != 0.0) {
      const auto grown = [&](double m) {
        return factor_ <= 1.0 ? 1.0 : 0.1 * m * std::log(factor_) + 1.0;
      };
      rope["attention_factor"] =
          attention_ * grown(1.0) / (multiplier != 0.0 ? grown(multiplier) : 1.0);
    }
  }

  void write_longrope(Json& rope) const {
    const GgufFile& file = keys_.file();
    rope["rope_type"] = "longrope";
    rope["factor"] = factor_;
    rope["original_max_position_embeddings"] = original_length();
    rope["attention_factor"] = attention_;
    for (const char* length : {"short", "long"}) {
      const GgufTensor& tensor = file.tensor(str("rope_factors_", length, ".weight"));
      if (tensor.type->name != "F32") {
        throw DataError(
            str(file.path(), ": \"", tensor.name, "\": expected F32, found ", tensor.type->name));
      }
      std::vector<float> divisors(tensor.data.size() / sizeof(float));
      std::memcpy(divisors.data(), tensor.data.data(), divisors.size() * sizeof(float));
      Json& list = rope[str(length, "_factor")] = Json::array();
      for (const float divisor : divisors) {
        list.push_back(static_cast<double>(divisor) * factor_);
      }
    }
  }

  const GgufKeys& keys_;
  std::string type_;
  double factor_ = 1.0, attention_ = 1.0, extrapolation_ = 0.0;
};

}  // namespace

void write_gguf_rope(const GgufKeys& keys, i64 head_dim, Json& config) {
  const i64 rotary = keys.integer("rope.dimension_count", head_dim);
  if (rotary != head_dim) {
    keys.fail("rope.dimension_count",
              str("expected the ", head_dim, " of a head, which turns whole, found ", rotary));
  }
  config["rope_parameters"] = {{"rope_type", "default"},
                               {"rope_theta", keys.number("rope.freq_base", 10000.0)}};
  RopeScaling(keys).write(config);
}

}  // namespace inlay
