// SPDX-License-Identifier: Apache-2.0
#include <utility>

#include "data/tokenizer/charsmap.h"
#include "data/tokenizer/json_loader.h"
#include "data/tokenizer/normalizer_steps.h"

namespace inlay {
namespace {

void add_steps(const JsonView& json, Normalizer& normalizer) {
  const std::string& type = json.at("type").string();
  if (type == "Sequence") {
    json.at("normalizers").each_element([&](const JsonView& step) { add_steps(step, normalizer); });
  } else if (type == "NFC") {
    normalizer.add(normalization_form(NormalizationForm::kC));
  } else if (type == "NFD") {
    normalizer.add(normalization_form(NormalizationForm::kD));
  } else if (type == "NFKC") {
    normalizer.add(normalization_form(NormalizationForm::kKC));
  } else if (type == "NFKD") {
    normalizer.add(normalization_form(NormalizationForm::kKD));
  } else if (type == "Lowercase") {
    normalizer.add(lowercase());
  } else if (type == "StripAccents") {
    normalizer.add(strip_accents());
  } else if (type == "Strip") {
    normalizer.add(strip(json.at("strip_left").boolean(), json.at("strip_right").boolean()));
  } else if (type == "Prepend") {
    normalizer.add(prepend(json.at("prepend").string()));
  } else if (type == "Replace") {
    normalizer.add(replace(pattern_from_json(json.at("pattern")), json.at("content").string()));
  } else if (type == "Nmt") {
    normalizer.add(nmt());
  } else if (type == "Precompiled") {
    const JsonView table = json.at("precompiled_charsmap");
    normalizer.add(table.blame([&] { return charsmap_from_base64(table.string()); }));
  } else {
    refuse_type(json,
                "NFC, NFD, NFKC, NFKD, Lowercase, StripAccents, Strip, Prepend, Replace, Nmt, "
                "Precompiled and Sequence");
  }
}

}  // namespace

Normalizer normalizer_from_json(const JsonView& root) {
  Normalizer normalizer;
  if (const auto json = root.find("normalizer")) {
    add_steps(*json, normalizer);
  }
  return normalizer;
}

}  // namespace inlay
