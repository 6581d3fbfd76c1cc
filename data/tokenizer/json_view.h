// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "core/config/json.h"
#include "core/error.h"
#include "core/io/file_system.h"
#include "core/types.h"

namespace inlay {

/// A value in a JSON document that knows its place, for messages such as
/// `tokenizer.json: /model/merges/3: expected a string, found number`.
class JsonView {
 public:
  JsonView(const nlohmann::json& root, std::string file)
      : value_(&root), path_(std::move(file)), is_root_(true) {}

  const nlohmann::json& json() const { return *value_; }

  /// A member of this object; throws when there is none.
  JsonView at(std::string_view key) const {
    auto member = find(key);
    if (!member) {
      fail(str("\"", key, "\" is missing"));
    }
    return *std::move(member);
  }
  /// A member, or nothing where it is absent or null.
  std::optional<JsonView> find(std::string_view key) const {
    const auto found = object().find(key);
    if (found == json().end() || found->is_null()) {
      return std::nullopt;
    }
    return JsonView(*found, child_path(key), false);
  }

  /// Calls `visit(view)` for each element of this array. The views, here and below, must not
  /// outlive the call: they learn their place only when asked, since vocabularies are long.
  template <class Visit>
  void each_element(const Visit& visit) const {
    expect(json().is_array(), "an array");
    i64 index = 0;
    for (const auto& element : json()) {
      visit(JsonView(element, *this, {}, index++));
    }
  }
  /// Calls `visit(key, view)` for each member of this object, sorted by key.
  template <class Visit>
  void each_member(const Visit& visit) const {
    for (auto member = object().begin(); member != json().end(); ++member) {
      visit(member.key(), JsonView(*member, *this, member.key(), -1));
    }
  }

  i64 size() const { return static_cast<i64>(json().size()); }
  bool is_string() const { return json().is_string(); }
  bool is_array() const { return json().is_array(); }
  bool is_object() const { return json().is_object(); }
  const std::string& string() const {
    expect(json().is_string(), "a string");
    return json().get_ref<const std::string&>();
  }
  bool boolean() const {
    expect(json().is_boolean(), "true or false");
    return json().get<bool>();
  }
  i64 integer() const {
    expect(json().is_number_integer(), "an integer");
    expect(!json().is_number_unsigned() || json().get<u64>() <= INT64_MAX, "a smaller number");
    return json().get<i64>();
  }
  /// A member that may be left out.
  bool boolean_or(std::string_view key, bool otherwise) const {
    const auto member = find(key);
    return member ? member->boolean() : otherwise;
  }
  std::string string_or(std::string_view key, std::string_view otherwise) const {
    const auto member = find(key);
    return member ? member->string() : std::string(otherwise);
  }

  /// Runs `action`, and puts this place before what it complains of.
  template <class Action>
  auto blame(const Action& action) const {
    try {
      return action();
    } catch (const DataError& error) {
      fail(error.what());
    }
  }

  /// `tokenizer.json: /model/merges/3`
  std::string path() const {
    return parent_ == nullptr
               ? path_
               : parent_->child_path(index_ >= 0 ? std::to_string(index_) : std::string(key_));
  }
  [[noreturn]] void fail(std::string_view message) const {
    throw DataError(str(path(), ": ", message));
  }

 private:
  JsonView(const nlohmann::json& value, std::string path, bool is_root)
      : value_(&value), path_(std::move(path)), is_root_(is_root) {}
  JsonView(const nlohmann::json& value, const JsonView& parent, std::string_view key, i64 index)
      : value_(&value), is_root_(false), parent_(&parent), key_(key), index_(index) {}

  std::string child_path(std::string_view key) const {
    return str(path(), is_root_ ? ": /" : "/", printable(key));
  }
  const nlohmann::json& object() const {
    expect(json().is_object(), "an object");
    return json();
  }
  void expect(bool condition, std::string_view what) const {
    if (!condition) {
      fail(str("expected ", what, ", found ", json().type_name()));
    }
  }

  const nlohmann::json* value_;
  std::string path_;
  bool is_root_;
  // Where path_ is not written out:
  const JsonView* parent_ = nullptr;
  std::string_view key_;
  i64 index_ = -1;  // in an array
};

/// visit(root) of a file in the directory, if it is there.
template <class Visit>
void with_json_file(const std::string& directory, const std::string& name, const Visit& visit) {
  const std::string path = join_path(directory, name);
  if (is_file(path)) {
    const nlohmann::json json = read_json(path);
    visit(JsonView(json, path));
  }
}

}  // namespace inlay
