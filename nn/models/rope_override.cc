// SPDX-License-Identifier: Apache-2.0
#include "nn/models/rope_override.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>

#include "core/error.h"
#include "nn/models/families.h"
#include "nn/models/rope_config.h"

namespace inlay {
namespace {

using Json = nlohmann::json;

constexpr const char* kOriginal = "original_max_position_embeddings";
constexpr const char* kMost = "max_position_embeddings";
constexpr const char* kFull = "full_attention";

constexpr std::string_view kKeys[] = {"rope_type",
                                      "type",
                                      kOriginal,
                                      "factor",
                                      "rope_theta",
                                      "partial_rotary_factor",
                                      "attention_factor",
                                      "beta_fast",
                                      "beta_slow",
                                      "mscale",
                                      "mscale_all_dim",
                                      "truncate",
                                      "short_factor",
                                      "long_factor",
                                      "alpha",
                                      "low_freq_factor",
                                      "high_freq_factor",
                                      "llama_4_scaling_beta"};
constexpr std::string_view kLayerTypes[] = {kFull, "sliding_attention"};
// What is the model's, whatever its length.
constexpr const char* kKept[] = {"rope_theta", "partial_rotary_factor", "llama_4_scaling_beta"};

// A wrapper of other modalities has the settings of its text model apart.
Json& text_settings(Json& config) {
  const auto text = config.find("text_config");
  return text != config.end() && text->is_object() ? *text : config;
}

Json object_or_empty(const Json& config, const char* key) {
  const auto found = config.find(key);
  return found != config.end() && found->is_object() ? *found : Json::object();
}

std::string type_of(const Json& rope) {
  for (const char* key : {"rope_type", "type"}) {
    if (const auto found = rope.find(key); found != rope.end() && found->is_string()) {
      return *found;
    }
  }
  return "default";
}

// The model as it is without any scaling, whatever that is: it may be one that inlay does not know.
DecoderPlan unscaled_plan(const HfConfig& config) {
  Json json = config.json();
  Json& model = text_settings(json);
  const auto plain = [](Json& rope) {
    rope.erase("type");
    rope["rope_type"] = "default";
  };
  for (const char* key : {"rope_scaling", "rope_parameters"}) {
    if (!object_or_empty(model, key).empty()) {
      plain(model[key]);
      for (const std::string_view type : kLayerTypes) {
        if (const auto own = model[key].find(type); own != model[key].end() && own->is_object()) {
          plain(*own);
        }
      }
    }
  }
  return plan_of(HfConfig(json, config.file()));
}

// The settings that `scaling` is put in the place of: of full attention, where layers differ.
Json own_rope(const Json& model, bool by_layer_type) {
  const Json scaling = object_or_empty(model, "rope_scaling");
  Json parameters = object_or_empty(model, "rope_parameters");
  if (!by_layer_type) {
    return scaling.empty() ? parameters : scaling;
  }
  parameters = object_or_empty(parameters, kFull);
  parameters.update(scaling);
  return parameters;
}

bool keeps_original(const std::string& type) {
  return type == "llama3" || type == "yarn" || type == "longrope" || type == "su";
}

// The length that a factor multiplies, if the length of the model follows from it.
std::optional<double> length_before(const Json& rope, const Json& own, i64 most) {
  const std::string type = type_of(rope);
  if (keeps_original(type)) {
    const Json& original = rope[kOriginal];
    return original.is_number() ? std::optional(original.get<double>()) : std::nullopt;
  }
  if (type != "linear") {
    return {};
  }
  const bool stretched = type_of(own) == "linear" && own.contains("factor") &&
                         own["factor"].is_number() && own["factor"].get<double>() > 1.0;
  return static_cast<double>(most) / (stretched ? own["factor"].get<double>() : 1.0);
}

// `scaling` with what stays the model's own, and the model's new length in `model`.
Json completed(const Json& scaling, const Json& own, i64 most, Json& model) {
  Json rope = scaling;
  rope["rope_type"] = type_of(scaling);
  rope.erase("type");
  for (const char* key : kKept) {
    if (!rope.contains(key) && own.contains(key)) {
      rope[key] = own[key];
    }
  }
  if (keeps_original(type_of(rope))) {
    if (!rope.contains(kOriginal)) {
      const auto outer = model.find(kOriginal);
      const bool said = outer != model.end() && outer->is_number_integer();
      rope[kOriginal] = said ? outer->get<i64>() : most;
    }
  } else if (rope.contains("llama_4_scaling_beta") && own.contains(kOriginal)) {
    rope[kOriginal] = own[kOriginal];
  }
  const std::optional<double> before = length_before(rope, own, most);
  if (before && rope.contains("factor") && rope["factor"].is_number()) {
    const double after = std::floor(*before * rope["factor"].get<double>());
    if (after > static_cast<double>(most) && after <= static_cast<double>(i64{1} << 31)) {
      model[kMost] = static_cast<i64>(after);
    }
  }
  return rope;
}

// An outer key goes before the one in the group, and Phi-3's class has no other.
void place_original(const Json& rope, Json& model) {
  const std::string type = type_of(rope);
  const bool wanted = model.contains(kOriginal) || type == "longrope" || type == "su";
  if (wanted && rope.contains(kOriginal)) {
    model[kOriginal] = rope[kOriginal];
  }
}

bool names_layer_types(const Json& scaling) {
  return std::ranges::any_of(kLayerTypes, [&](std::string_view t) { return scaling.contains(t); });
}

Json rope_by_layer_type(const Json& scaling, i64 most, Json& model) {
  Json all = object_or_empty(model, "rope_parameters");
  Json by_type = scaling;
  if (!names_layer_types(scaling)) {
    by_type = Json{{kFull, scaling}};
  }
  for (const auto& [type, settings] : by_type.items()) {
    const Json own = type == kFull ? own_rope(model, true) : object_or_empty(all, type.c_str());
    all[type] = completed(settings, own, most, model);
  }
  return all;
}

void problems_of(const Json& scaling, const std::string& at,
                 std::vector<std::pair<std::string, std::string>>& problems) {
  std::string known;
  for (const std::string& type : rope_types()) {
    known += str(known.empty() ? "" : ", ", type);
  }
  const char* key = scaling.contains("rope_type") ? "rope_type" : "type";
  const auto type = scaling.find(key);
  if (type == scaling.end()) {
    problems.emplace_back(at + "/rope_type", str("missing (", known, ")"));
  } else if (!type->is_string() ||
             std::ranges::count(rope_types(), type->get<std::string>()) + (*type == "su") == 0) {
    problems.emplace_back(
        str(at, "/", key),
        str("expected one of ", known, ", found ", printable(type->dump()),
            type->is_string() ? did_you_mean(type->get<std::string>(), rope_types()) : ""));
  }
  for (const auto& [name, value] : scaling.items()) {
    if (std::ranges::find(kKeys, name) == std::end(kKeys)) {
      problems.emplace_back(str(at, "/", printable(name)),
                            str("unknown key", did_you_mean(name, kKeys)));
    }
  }
}

}  // namespace

std::vector<std::pair<std::string, std::string>> rope_scaling_problems(const Json& rope_scaling) {
  std::vector<std::pair<std::string, std::string>> problems;
  if (!names_layer_types(rope_scaling)) {
    problems_of(rope_scaling, "", problems);
    return problems;
  }
  for (const auto& [type, settings] : rope_scaling.items()) {
    const std::string at = "/" + printable(type);
    if (std::ranges::find(kLayerTypes, type) == std::end(kLayerTypes)) {
      problems.emplace_back(at, str("expected a type of layer", did_you_mean(type, kLayerTypes)));
    } else if (!settings.is_object()) {
      problems.emplace_back(at, str("expected an object, found ", printable(settings.dump())));
    } else {
      problems_of(settings, at, problems);
    }
  }
  return problems;
}

HfConfig with_rope_scaling(const HfConfig& config, const Json& rope_scaling,
                           const std::string& source) {
  const DecoderPlan plan = unscaled_plan(config);
  const std::string name = str(config.file(), " with ", source);
  if (plan.ropes.empty()) {
    throw ConfigError(str(name, ": this model has no RoPE to scale"));
  }
  Json json = config.json();
  Json& model = text_settings(json);
  const bool by_layer_type = plan.ropes.size() > 1;
  const i64 most = plan.sizes.max_positions;
  Json rope;
  if (by_layer_type) {
    rope = rope_by_layer_type(rope_scaling, most, model);
  } else {
    Json own = own_rope(model, false);
    own["rope_theta"] = plan.ropes[0].config.theta;  // wherever the family looks for it
    rope = completed(rope_scaling, own, most, model);
    place_original(rope, model);
  }
  for (const char* key : {"rope_scaling", "rope_parameters", kGgufRopeKey}) {
    model.erase(key);
  }
  model["rope_parameters"] = std::move(rope);
  HfConfig out(json, name);
  try {
    plan_of(out);
  } catch (const DataError& e) {
    throw ConfigError(
        e.what());  // the model's own settings are sound: it is the run's that are not
  }
  return out;
}

std::string rope_scaling_text(const HfConfig& config) {
  Json json = config.json();
  const Json& model = text_settings(json);
  const Json parameters = object_or_empty(model, "rope_parameters");
  const Json rope = parameters.contains(kFull) ? object_or_empty(parameters, kFull) : parameters;
  std::string text = type_of(rope);
  if (rope.contains("factor") && rope["factor"].is_number()) {
    text += str(", factor ", rope["factor"].get<double>());
  }
  return str(text, ", ", plan_of(config).sizes.max_positions, " positions");
}

}  // namespace inlay
