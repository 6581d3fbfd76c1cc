// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/config/document.h"
#include "core/config/fields.h"
#include "core/config/json.h"
#include "core/config/reader.h"

namespace inlay {

struct SampleLayer {
  std::string name = "dense";
  i64 width = 8;
  void fields(FieldVisitor& v) {
    v.field("name", name, "what it is called");
    v.field("width", width, {1, 64}, "how wide it is");
  }
};

/// One field of every kind.
struct Sample {
  bool flag = false;
  i64 count = 3;
  i64 any_integer = 0;
  float ratio = 0.1F;
  double rate = 2e-4;
  std::string text = "hello";
  std::string mode = "fast";
  std::string file = "data.txt";
  std::string model = "org/name";
  std::optional<std::string> tokenizer;
  std::vector<std::string> names = {"a", "b"};
  std::vector<i64> sizes;
  std::vector<double> weights;
  std::vector<std::string> files;
  OrderedMap<i64> ranks;
  OrderedMap<double> scales;
  OrderedMap<std::string> labels;
  std::optional<bool> maybe_flag;
  std::optional<i64> maybe_count;
  std::optional<double> maybe_rate;
  std::optional<std::string> maybe_text;
  std::optional<std::vector<std::string>> maybe_names;
  std::optional<std::vector<i64>> layers;
  AutoOr<i64> threads;
  AutoOr<double> temperature;
  StringOrList targets = "all";
  std::optional<StringOrList> excluded;
  BoolOrString init = true;
  FreeObject extra;
  SampleLayer layer;
  std::optional<SampleLayer> maybe_layer;
  std::vector<SampleLayer> more_layers;

  void fields(FieldVisitor& v) {
    v.field("flag", flag, "a switch");
    v.field("count", count, {1, 1024}, "a count");
    v.field("any_integer", any_integer, "an integer without a range");
    v.field("ratio", ratio, {0.0, 1.0}, "a ratio");
    v.field("rate", rate, {.min = 0.0, .max = 1.0, .above_min = true, .below_max = true}, "a rate");
    v.field("text", text, "a text");
    v.choice("mode", mode, {"fast", "slow"}, "a mode");
    v.path("file", file, "a file");
    v.path_or_name("model", model, "a model");
    v.path_or("tokenizer", tokenizer, {"bytes"}, "a tokenizer");
    v.field("names", names, "names");
    v.field("sizes", sizes, {.min = 0}, "sizes");
    v.field("weights", weights, {.max = 1.0}, "weights");
    v.path("files", files, "files");
    v.field("ranks", ranks, {1, 8}, "ranks");
    v.field("scales", scales, {0.0, 2.0}, "scales");
    v.field("labels", labels, "labels");
    v.field("maybe_flag", maybe_flag, "a flag or nothing");
    v.field("maybe_count", maybe_count, {1, 9}, "a count or nothing");
    v.field("maybe_rate", maybe_rate, {0.0, 1.0}, "a rate or nothing");
    v.field("maybe_text", maybe_text, "a text or nothing");
    v.choice("maybe_names", maybe_names, {"x", "y"}, "names or nothing");
    v.typed("layers", layers, nullable(one_of({integer_type({0, 99}), list_of(integer_type())})),
            "a layer, several, or all");
    v.field("threads", threads, {1, 64}, "threads");
    v.field("temperature", temperature, {0.0, 2.0}, "a temperature");
    v.field("targets", targets, "a pattern or names");
    v.field("excluded", excluded, "a pattern, names or nothing");
    v.choice("init", init, {"gaussian"}, "how to begin");
    v.field("extra", extra, "anything");
    v.object("layer", layer, "a layer");
    v.object("maybe_layer", maybe_layer, "a layer or nothing");
    v.objects("more_layers", more_layers, "layers");
    v.ignored("comment", "for humans");
    v.neutral("turbo", {"false", "null"}, "turbo is not supported");
    v.hint("number", "count");
  }
};

inline ConfigDocument sample_document(std::string_view text) {
  return ConfigDocument::single(parse_ordered_json(text, "test"), {"s.json", "configs"});
}

inline Sample read_sample(std::string_view text, const ReadOptions& options = {}) {
  return read_config<Sample>(sample_document(text), options);
}

}  // namespace inlay
