// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "core/types.h"

/// What a template computes with: Python's values, as far as a chat template meets them. Lists and
/// dicts never change once made (the sandbox forbids it), so values are shared, cheap to copy and
/// free of cycles; a namespace is the one thing that can be written to, and Runtime owns those.
namespace inlay::jinja {

class Value;
class Dict;
class Callable;
class Loop;
struct Sequence;
struct Namespace;

/// In the order of Value's variant.
enum class Kind {
  kUndefined,
  kNone,
  kBool,
  kInt,
  kFloat,
  kString,
  kSequence,
  kDict,
  kNamespace,
  kCallable,
  kLoop,
};

enum class SequenceKind {
  kList,
  kTuple,
  kRange,
  kView,      // dict.keys(), values(), items(): no subscripts
  kIterator,  // what map, select and the like return: always true, no length, good for one walk
};

class Value {
 public:
  Value() : data_(None()) {}
  explicit Value(bool value) : data_(value) {}
  explicit Value(int value) : data_(static_cast<i64>(value)) {}
  explicit Value(i64 value) : data_(value) {}
  explicit Value(double value) : data_(value) {}
  explicit Value(std::string value) : Value(std::move(value), /*markup=*/false) {}
  explicit Value(std::string_view value) : Value(std::string(value)) {}
  explicit Value(const char* value) : Value(std::string(value)) {}
  explicit Value(Dict dict);
  explicit Value(std::shared_ptr<Namespace> space) : data_(std::move(space)) {}
  explicit Value(std::shared_ptr<const Callable> callable) : data_(std::move(callable)) {}
  explicit Value(std::shared_ptr<Loop> loop) : data_(std::move(loop)) {}

  /// An undefined value; `why` is the sentence of the error met when it is used.
  static Value undefined(std::string why);
  /// A string that `safe` or `escape` has marked as HTML: what is joined to it with + or by its own
  /// methods is escaped first. In all else it is a string.
  static Value markup(std::string html) { return {std::move(html), /*markup=*/true}; }
  static Value sequence(SequenceKind kind, std::vector<Value> items);
  static Value list(std::vector<Value> items) {
    return sequence(SequenceKind::kList, std::move(items));
  }
  /// What `groupby` makes of each group: the tuple (key, list) whose parts also have the names
  /// `grouper` and `list`.
  static Value group(Value key, Value list);
  /// The same in template terms, objects in the order of the file. `where` opens the error
  /// sentences: DataError for an integer beyond 64 bits signed and for nesting beyond kMaxDepth.
  static Value from_json(const nlohmann::ordered_json& json, std::string_view where);

  Kind kind() const { return static_cast<Kind>(data_.index()); }
  bool is(Kind kind) const { return this->kind() == kind; }
  bool is(SequenceKind kind) const;
  bool is_number() const { return is(Kind::kBool) || is(Kind::kInt) || is(Kind::kFloat); }
  /// An int, or a bool, which Python counts as one.
  bool is_integral() const { return is(Kind::kBool) || is(Kind::kInt); }

  // Each REQUIRES the kind it is named after.
  const std::string& why_undefined() const { return *std::get<Undefined>(data_).why; }
  bool as_bool() const { return std::get<bool>(data_); }
  i64 as_int() const;       // of a bool too
  double as_float() const;  // of a bool or an int too
  const std::string& as_string() const { return std::get<Shared<Text>>(data_)->text; }
  bool is_markup() const { return is(Kind::kString) && std::get<Shared<Text>>(data_)->is_markup; }
  const Sequence& as_sequence() const { return *std::get<Shared<Sequence>>(data_); }
  const std::vector<Value>& items() const;
  const Dict& as_dict() const { return *std::get<Shared<Dict>>(data_); }
  Namespace& as_namespace() const { return *std::get<std::shared_ptr<Namespace>>(data_); }
  const Callable& as_callable() const { return *std::get<Shared<Callable>>(data_); }
  Loop& as_loop() const { return *std::get<std::shared_ptr<Loop>>(data_); }

  /// bool(value) in Python.
  bool truthy() const;
  /// "a string", "a list", "undefined" …, for error sentences.
  std::string_view type_name() const;
  /// How deep lists and dicts are nested in it: 0 for anything else.
  int depth() const;
  /// Whether both are one and the same object in memory, which makes them equal without a look.
  bool same_object(const Value& other) const;

 private:
  template <class T>
  using Shared = std::shared_ptr<const T>;
  struct None {};
  struct Text {
    std::string text;
    bool is_markup;
  };
  Value(std::string text, bool markup)
      : data_(std::make_shared<const Text>(Text{std::move(text), markup})) {}

  struct Undefined {
    Shared<std::string> why;
  };
  std::variant<Undefined, None, bool, i64, double, Shared<Text>, Shared<Sequence>, Shared<Dict>,
               std::shared_ptr<Namespace>, Shared<Callable>, std::shared_ptr<Loop>>
      data_;
};

/// Deeper values are refused: printing and comparing them is recursive.
inline constexpr int kMaxDepth = 100;

struct Sequence {
  SequenceKind kind;
  std::vector<Value> items;
  int depth;
  /// How many items have been taken from an iterator: they come once.
  mutable std::size_t taken = 0;
  /// Of a tuple: its two parts have names (Value::group).
  bool is_group = false;
};

/// Key/value pairs in the order of their first insertion. Keys compare as in Python: 1, 1.0 and
/// true are one key.
class Dict {
 public:
  using Entry = std::pair<Value, Value>;

  /// none, undefined, booleans, numbers, strings, and short tuples of these. Python has a few more
  /// (functions); no template needs them.
  static bool can_be_key(const Value& value);

  /// The value under `key`, which can_be_key, or nullptr.
  const Value* find(const Value& key) const;
  const Value* find(std::string_view key) const;
  void set(Value key, Value value);
  void set(std::string_view key, Value value) { set(Value(key), std::move(value)); }
  const std::vector<Entry>& entries() const { return entries_; }
  bool empty() const { return entries_.empty(); }
  int depth() const { return depth_; }

 private:
  template <class Hash, class Same>
  const Value* find_entry(Hash hash, Same same) const;

  std::vector<Entry> entries_;
  /// Hash to position, kept once there are too many entries to look at each.
  std::unordered_multimap<std::size_t, std::size_t> index_;
  int depth_ = 1;
};

struct Namespace {
  std::map<std::string, Value, std::less<>> attributes;
};

/// -1, 0 or 1 as a < b, a == b, a > b, exactly, for numbers that are not NaN.
int compare_numbers(const Value& a, const Value& b);
/// Whether two keys of a dict are the same key.
bool same_key(const Value& a, const Value& b);

}  // namespace inlay::jinja
