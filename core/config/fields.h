// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <initializer_list>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/config/choice.h"
#include "core/config/field_type.h"
#include "core/config/values.h"
#include "core/types.h"

/// A config struct lists its fields once, and everything comes from that list: reading with checks,
/// writing, the help text, the JSON Schema, the names for "did you mean".
///
///     struct LoraConfig {
///       i64 rank = 8;
///       double alpha = 16.0;
///       void fields(FieldVisitor& v) {
///         v.field("r", rank, {1, 1024}, "rank r of the update B A");
///         v.field("lora_alpha", alpha, {0.0, 1e6}, "the update is scaled by lora_alpha / r");
///       }
///     };
///
/// The values of a default-constructed struct are the defaults. The work is done by
///   reader.h   read_config<T>(document)     one sentence for each mistake
///   writer.h   config_text(value)           the resolved config
///   help.h     field_rows<T>()              a row a field, for --help
///   schema.h   config_schema<T>(title)      JSON Schema
/// and documents with "extends" and --set come from run_file.h.
namespace inlay {

/// A reference to the C++ value behind a field. Its JSON goes in and out here and nowhere else.
class FieldSlot {
 public:
  template <class T>
  explicit FieldSlot(T& value) : pointer_(&value) {}
  template <HasChoices T>
  explicit FieldSlot(T& value) : pointer_(ChoiceSlot(value)) {}
  template <HasChoices T>
  explicit FieldSlot(AutoOr<T>& value) : pointer_(ChoiceSlot(value)) {}

  /// What the C++ type alone says: i64 is any integer, std::optional<T> is T or null,
  /// an enum with choices is one of their names.
  FieldType natural_type() const;
  nlohmann::ordered_json get() const;
  /// `json` has been checked against the field's type.
  void set(const nlohmann::ordered_json& json) const;

 private:
  template <class... T>
  using PointerTo = std::variant<ChoiceSlot, T*...>;
  PointerTo<bool, i64, float, double, std::string,                                //
            std::vector<std::string>, std::vector<i64>, std::vector<double>,      //
            OrderedMap<std::string>, OrderedMap<i64>, OrderedMap<double>,         //
            std::optional<bool>, std::optional<i64>, std::optional<double>,       //
            std::optional<std::string>, std::optional<std::vector<std::string>>,  //
            std::optional<std::vector<i64>>, AutoOr<i64>, AutoOr<double>,         //
            StringOrList, std::optional<StringOrList>, BoolOrString, IntegerOrString, FreeObject>
      pointer_;
};

struct Field {
  std::string_view key;
  FieldSlot value;
  FieldType type;
  std::string_view help;
};

/// A key that is accepted and has no effect: whatever its value, or only at the values named.
struct PassiveKey {
  std::string_view key;
  std::vector<std::string_view> accepted;  // JSON texts; empty = any value
  std::string_view help;
};

class FieldVisitor;

/// A nested struct, an optional one, or a list of them.
class StructSlot {
 public:
  enum class Form { kOne, kOptional, kMany };

  virtual ~StructSlot() = default;
  Form form() const { return form_; }
  virtual i64 size() const = 0;
  /// To 0 or 1 for kOptional; new structs hold the defaults.
  virtual void resize(i64 size) const = 0;
  virtual void visit(i64 index, FieldVisitor& v) const = 0;
  /// Visits a struct of the same type with the default values.
  virtual void visit_default(FieldVisitor& v) const = 0;

 protected:
  explicit StructSlot(Form form) : form_(form) {}

 private:
  Form form_;
};

namespace detail {

/// The number type that a range is given in: i64 for integers in any container, else double.
template <class T>
struct RangeOf {
  using type = double;
};
template <>
struct RangeOf<i64> {
  using type = i64;
};
template <class T>
struct RangeOf<std::vector<T>> : RangeOf<T> {};
template <class T>
struct RangeOf<std::pair<std::string, T>> : RangeOf<T> {};
template <class T>
struct RangeOf<std::optional<T>> : RangeOf<T> {};
template <class T>
struct RangeOf<AutoOr<T>> : RangeOf<T> {};
template <>
struct RangeOf<IntegerOrString> {
  using type = i64;
};

template <class Struct>
class OneStruct : public StructSlot {
 public:
  explicit OneStruct(Struct& value) : StructSlot(Form::kOne), value_(value) {}
  i64 size() const override { return 1; }
  void resize(i64 /*size*/) const override {}
  void visit(i64 /*index*/, FieldVisitor& v) const override { value_.fields(v); }
  void visit_default(FieldVisitor& v) const override { Struct().fields(v); }

 private:
  Struct& value_;
};

template <class Struct>
class OptionalStruct : public StructSlot {
 public:
  explicit OptionalStruct(std::optional<Struct>& value)
      : StructSlot(Form::kOptional), value_(value) {}
  i64 size() const override { return value_.has_value() ? 1 : 0; }
  void resize(i64 size) const override {
    value_ = size == 0 ? std::nullopt : std::optional<Struct>(Struct());
  }
  void visit(i64 /*index*/, FieldVisitor& v) const override { value_->fields(v); }
  void visit_default(FieldVisitor& v) const override { Struct().fields(v); }

 private:
  std::optional<Struct>& value_;
};

template <class Struct>
class ManyStructs : public StructSlot {
 public:
  explicit ManyStructs(std::vector<Struct>& values) : StructSlot(Form::kMany), values_(values) {}
  i64 size() const override { return static_cast<i64>(values_.size()); }
  void resize(i64 size) const override { values_.resize(size); }
  void visit(i64 index, FieldVisitor& v) const override { values_[index].fields(v); }
  void visit_default(FieldVisitor& v) const override { Struct().fields(v); }

 private:
  std::vector<Struct>& values_;
};

}  // namespace detail

/// What a struct's `fields` speaks to. The public functions are the vocabulary; a visitor
/// implements `on_field`, `on_structs` and, if it cares, `on_passive` and `on_hint`.
class FieldVisitor {
 public:
  virtual ~FieldVisitor() = default;

  /// Any value of the C++ type.
  template <class T>
  void field(std::string_view key, T& value, std::string_view help) {
    typed(key, value, FieldSlot(value).natural_type(), help);
  }
  /// Every number in the value is in the range: `{1, 1024}`, `{.min = 0.0, .above_min = true}`.
  template <class T>
  void field(std::string_view key, T& value, Range<typename detail::RangeOf<T>::type> range,
             std::string_view help) {
    typed(key, value, with_range(FieldSlot(value).natural_type(), range), help);
  }
  /// Every string in the value is one of the choices. A field that code decides by is an enum with
  /// choices instead (choice.h), which is a `field`.
  template <class T>
  void choice(std::string_view key, T& value, const std::vector<std::string>& choices,
              std::string_view help) {
    typed(key, value, with_choices(FieldSlot(value).natural_type(), choices), help);
  }
  /// One of these, of all that the type has: `v.choice("dtype", dtype, {DType::kF32}, ...)`.
  template <HasChoices T>
  void choice(std::string_view key, AutoOr<T>& value, std::initializer_list<T> allowed,
              std::string_view help) {
    const std::span<const T> values(allowed.begin(), allowed.size());
    typed(key, value, choice_type(ChoiceSlot::with_auto(choice_names(values))), help);
  }
  /// Every string in the value is a path, in C++ relative to the working directory, in JSON to the
  /// file that says it.
  template <class T>
  void path(std::string_view key, T& value, std::string_view help) {
    typed(key, value, with_paths(FieldSlot(value).natural_type(), FieldType::Kind::kPath), help);
  }
  /// A path, or one of the words: `v.path_or("tokenizer", tokenizer, {"bytes"}, ...)`.
  template <class T>
  void path_or(std::string_view key, T& value, const std::vector<std::string>& words,
               std::string_view help) {
    const FieldType paths = with_paths(FieldSlot(value).natural_type(), FieldType::Kind::kPath);
    typed(key, value, one_of({choice_type(words), paths}), help);
  }
  /// A path where there is such a file, else a name that the reader leaves as it stands.
  template <class T>
  void path_or_name(std::string_view key, T& value, std::string_view help) {
    typed(key, value, with_paths(FieldSlot(value).natural_type(), FieldType::Kind::kPathOrName),
          help);
  }
  /// A type of your own making, as long as what it accepts fits into the C++ type. A vector also
  /// takes a single element, and null as empty, where the type lets them through.
  template <class T>
  void typed(std::string_view key, T& value, FieldType type, std::string_view help) {
    on_field({key, FieldSlot(value), std::move(type), help});
  }

  template <class Struct>
  void object(std::string_view key, Struct& value, std::string_view help) {
    on_structs(key, detail::OneStruct<Struct>(value), help);
  }
  /// null or an object.
  template <class Struct>
  void object(std::string_view key, std::optional<Struct>& value, std::string_view help) {
    on_structs(key, detail::OptionalStruct<Struct>(value), help);
  }
  template <class Struct>
  void objects(std::string_view key, std::vector<Struct>& values, std::string_view help) {
    on_structs(key, detail::ManyStructs<Struct>(values), help);
  }

  /// Accepted at any value and without effect. Not written back.
  void ignored(std::string_view key, std::string_view help) { on_passive({key, {}, help}); }
  /// Accepted only where it changes nothing: `v.neutral("use_x", {"false"}, "x is not supported")`.
  /// Not written back.
  void neutral(std::string_view key, std::initializer_list<std::string_view> accepted,
               std::string_view why_not) {
    on_passive({key, accepted, why_not});
  }
  /// What others call a key of this struct: the "did you mean" of the unknown key `wrong`.
  void hint(std::string_view wrong, std::string_view right) { on_hint(wrong, right); }

 protected:
  virtual void on_field(const Field& field) = 0;
  virtual void on_structs(std::string_view key, const StructSlot& structs,
                          std::string_view help) = 0;
  virtual void on_passive(const PassiveKey& /*key*/) {}
  virtual void on_hint(std::string_view /*wrong*/, std::string_view /*right*/) {}
};

/// A struct seen as its list of fields, so that the visitors need no templates.
class Fields {
 public:
  template <class Struct>
  explicit Fields(Struct& value)
      : value_(&value),
        visit_([](void* p, FieldVisitor& v) { static_cast<Struct*>(p)->fields(v); }) {}
  void visit(FieldVisitor& v) const { visit_(value_, v); }

 private:
  void* value_;
  void (*visit_)(void*, FieldVisitor&);
};

/// "/a" + "b/c" = "/a/b~1c" (RFC 6901).
std::string json_pointer(std::string_view parent, std::string_view key);

}  // namespace inlay
