// SPDX-License-Identifier: Apache-2.0
#include "core/config/document.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "core/config/fields.h"
#include "core/error.h"

namespace inlay {

using Json = nlohmann::ordered_json;

ConfigDocument::ConfigDocument() : json_(std::make_unique<Json>(Json::object())), origins_(1) {}
ConfigDocument::ConfigDocument(ConfigDocument&&) noexcept = default;
ConfigDocument& ConfigDocument::operator=(ConfigDocument&&) noexcept = default;
ConfigDocument::~ConfigDocument() = default;

ConfigDocument ConfigDocument::single(Json json, Origin origin) {
  ConfigDocument document;
  *document.json_ = std::move(json);
  document.origins_[0] = std::move(origin);
  return document;
}

void ConfigDocument::overlay(Json object, const Origin& origin) {
  INLAY_ASSERT(object.is_object() && json_->is_object());
  origins_.push_back(origin);
  merge(*json_, std::move(object), "", static_cast<i64>(origins_.size()) - 1);
}

void ConfigDocument::merge(Json& base, Json&& above, const std::string& pointer, i64 origin) {
  for (const auto& [key, value] : above.items()) {
    const std::string inside = json_pointer(pointer, key);
    const auto old = base.find(key);
    if (old != base.end() && old->is_object() && value.is_object()) {
      merge(*old, std::move(value), inside, origin);
    } else {
      base[key] = std::move(value);
      claim(inside, origin);
    }
  }
}

void ConfigDocument::claim(const std::string& pointer, i64 origin) {
  // What wrote parts of the value that is now replaced is forgotten.
  const std::string prefix = pointer + "/";
  auto inside = who_.lower_bound(prefix);
  while (inside != who_.end() && inside->first.starts_with(prefix)) {
    inside = who_.erase(inside);
  }
  who_[pointer] = origin;
}

void ConfigDocument::set_root_origin(Origin origin) {
  origins_[0] = std::move(origin);
}

const ConfigDocument::Origin& ConfigDocument::origin(std::string_view pointer) const {
  // Only what a layer wrote as a whole is noted; a value inside of it has the origin of the nearest
  // one around.
  while (!pointer.empty()) {
    const auto found = who_.find(pointer);
    if (found != who_.end()) {
      return origins_[found->second];
    }
    pointer = pointer.substr(0, pointer.rfind('/'));
  }
  return origins_[0];
}

}  // namespace inlay
