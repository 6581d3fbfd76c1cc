// SPDX-License-Identifier: Apache-2.0
#include "finetune/model_checks.h"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>

#include "core/error.h"
#include "nn/models/families.h"

namespace inlay {
namespace {

// The number behind one of `lists`: 7 in "model.layers.7.mlp…", "h.7.attn…" or "blk.7.ffn…".
std::optional<i64> layer_of(std::string_view name, const std::vector<std::string>& lists) {
  for (const std::string& list : lists) {
    std::size_t at = name.find(list);
    while (at != std::string_view::npos && at > 0 && name[at - 1] != '.') {
      at = name.find(list, at + 1);
    }
    if (at == std::string_view::npos) {
      continue;
    }
    const std::string_view rest = name.substr(at + list.size());
    i64 number = 0;
    const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), number);
    if (error == std::errc() && end != rest.data() + rest.size() && *end == '.' && number >= 0 &&
        number < (i64{1} << 31)) {
      return number;
    }
  }
  return {};
}

}  // namespace

void require_layers(const HfConfig& config, const Checkpoint& checkpoint) {
  const Family& family = family_of(config);
  const std::string& layers = family.names.layers;  // of which a bare model has the last part alone
  const std::vector<std::string> lists = {layers.substr(layers.rfind('.') + 1) + ".", "blk."};
  i64 held = 0;
  std::string last;
  for (const std::string& name : checkpoint.names()) {
    const std::optional<i64> layer = layer_of(name, lists);
    if (layer && !is_of_other_part(family, name) && *layer >= held) {
      held = *layer + 1;
      last = name;
    }
  }
  const LayerSetting setting = layer_setting(config);
  if (held == 0 || held == setting.count) {
    return;  // of no layer at all, a tensor is missed by its name
  }
  const bool gguf = checkpoint.path().ends_with(".gguf");
  const std::string where =
      gguf ? str(checkpoint.path(), ": \"", family.gguf->architecture, ".block_count\": ")
           : str(config.file(), ": /", family.text_key, family.text_key.empty() ? "" : "/",
                 setting.key, ": ");
  throw DataError(str(where, setting.count, ", but the file has ", held, " layers, up to \"",
                      printable(last), "\"; set it to ", held));
}

std::vector<std::string> id_notes(const HfConfig& config) {
  std::vector<std::string> notes;
  const Family* family = find_family(config.text("model_type", ""));
  const i64 vocab_size = (family != nullptr ? text_config(config, *family) : config)
                             .integer("vocab_size", i64{1} << 31);
  const auto is_default = [&](const nlohmann::json& id) {
    return family != nullptr && id.is_number_integer() && family->default_token_id == id.get<i64>();
  };
  for (const char* key : {"bos_token_id", "eos_token_id", "pad_token_id"}) {
    const auto found = config.json().find(key);
    const nlohmann::json ids = found == config.json().end() ? nlohmann::json::array()
                               : found->is_array()          ? *found
                                                            : nlohmann::json::array({*found});
    for (const nlohmann::json& id : ids) {
      // A padding id of -1 is how older configs say that there is none.
      // The default of a family's class is written into the config of every small model.
      const bool none =
          id.is_null() || (id == -1 && std::string_view(key) == "pad_token_id") || is_default(id);
      const bool known = id.is_number_integer() && id >= 0 && id < vocab_size;
      if (!none && !known) {
        notes.push_back(str(config.file(), ": /", key, ": ", printable(id.dump(), 60),
                            " is not an id of the vocabulary, which has ", vocab_size));
      }
    }
  }
  return notes;
}

std::vector<std::string> unused_notes(const std::string& name,
                                      const std::vector<std::string>& unused) {
  constexpr std::string_view kHeads[] = {"score.",           "classifier.",          "qa_outputs.",
                                         "v_head.",          "value_head.",          "reward_head.",
                                         "regression_head.", "multiple_choice_head."};
  std::vector<std::string> notes;
  i64 others = 0;
  const std::string* first = nullptr;
  for (const std::string& tensor : unused) {
    if (std::ranges::any_of(kHeads,
                            [&](std::string_view head) { return tensor.starts_with(head); })) {
      notes.push_back(str(name, ": \"", printable(tensor),
                          "\" belongs to the head of another task, and is left out"));
    } else {
      first = first == nullptr ? &tensor : first;
      others += 1;
    }
  }
  if (others > 0) {
    notes.push_back(str(name, ": ", others,
                        " tensors of the file are not part of the model, such as \"",
                        printable(*first), "\""));
  }
  return notes;
}

}  // namespace inlay
