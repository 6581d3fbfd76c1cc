// SPDX-License-Identifier: Apache-2.0
#include "data/dataset/control_text.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/error.h"
#include "data/text/utf8.h"

namespace inlay {
namespace {

using Json = nlohmann::ordered_json;

bool any_string(const Json& json, const auto& wanted) {
  if (json.is_string()) {
    return wanted(json.get_ref<const std::string&>());
  }
  if (json.is_object()) {
    const auto& members = json.get_ref<const Json::object_t&>();
    return std::any_of(members.begin(), members.end(), [&](const auto& member) {
      return wanted(member.first) || any_string(member.second, wanted);
    });
  }
  return json.is_array() && std::any_of(json.begin(), json.end(), [&](const Json& element) {
           return any_string(element, wanted);
         });
}

Json with_strings(const Json& json, const auto& change) {
  if (json.is_string()) {
    return change(json.get_ref<const std::string&>());
  }
  if (!json.is_structured()) {
    return json;
  }
  Json changed = json.is_object() ? Json::object() : Json::array();
  for (const auto& [key, value] : json.items()) {
    if (json.is_object()) {
      changed[change(key)] = with_strings(value, change);
    } else {
      changed.push_back(with_strings(value, change));
    }
  }
  return changed;
}

}  // namespace

ControlText::ControlText(const Tokenizer& tokenizer) {
  for (i32 id = 0; id < tokenizer.vocab_size(); ++id) {
    if (!tokenizer.is_special(id)) {
      continue;
    }
    std::string text = tokenizer.decode(std::span(&id, 1));
    if (!text.empty()) {
      starts_[static_cast<u8>(text[0])] = true;
      texts_.push_back(std::move(text));
    }
  }
}

i64 ControlText::find(std::string_view text, i64 from) const {
  for (std::size_t at = from; at < text.size(); ++at) {
    if (!starts_[static_cast<u8>(text[at])]) {
      continue;
    }
    const std::string_view rest = text.substr(at);
    if (std::any_of(texts_.begin(), texts_.end(),
                    [&](const std::string& control) { return rest.starts_with(control); })) {
      return static_cast<i64>(at);
    }
  }
  return -1;
}

std::string ControlText::broken(std::string_view text) const {
  std::string result;
  i64 done = 0;
  for (i64 at = find(text); at >= 0; at = find(text, at + 1)) {
    const i64 behind_first = at + code_point_at(text, at).length;
    result += text.substr(done, behind_first - done);
    result += kControlMark;
    done = behind_first;
  }
  result += text.substr(done);
  return result;
}

bool ControlText::is_in_any(const Json& json) const {
  return any_string(json, [&](std::string_view text) { return is_in(text); });
}

bool ControlText::break_all(Json& json) const {
  if (!is_in_any(json)) {
    return false;
  }
  if (any_string(json, [](std::string_view text) {
        return text.find(kControlMark) != std::string_view::npos;
      })) {
    throw DataError(
        "the row holds the text of a control token and also the character U+10A7F, by which such "
        "text is kept plain; remove one of them");
  }
  json = with_strings(json, [&](std::string_view text) { return broken(text); });
  return true;
}

}  // namespace inlay
