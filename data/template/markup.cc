// SPDX-License-Identifier: Apache-2.0
#include "data/template/markup.h"

#include <utility>

#include "data/template/access.h"
#include "data/template/text_forms.h"

namespace inlay::jinja {
namespace {

/// Strings, and the strings in a list or tuple, as markup.
Value as_markup(Runtime& runtime, const Value& value) {
  if (value.is(Kind::kString)) {
    return runtime.markup(value.as_string());
  }
  if (!value.is(Kind::kSequence)) {
    return value;
  }
  std::vector<Value> items;
  items.reserve(value.items().size());
  for (const Value& item : value.items()) {
    items.push_back(as_markup(runtime, item));
  }
  return runtime.sequence(value.as_sequence().kind, std::move(items));
}

class MarkupMethod : public Callable {
 public:
  MarkupMethod(const Builtin& row, Value subject) : row_(row), subject_(std::move(subject)) {}

  Value call(Runtime& runtime, const CallArguments& given) const override {
    CallArguments arguments = given;
    if (row_.name == "join" && !arguments.positional.empty()) {
      std::vector<Value> parts;
      for (const Value& part : iterate(runtime, arguments.positional[0])) {
        parts.push_back(escaped(runtime, part));
      }
      arguments.positional[0] = runtime.list(std::move(parts));
    }
    const bool pads = row_.name == "ljust" || row_.name == "rjust" || row_.name == "center";
    if ((pads || row_.name == "replace") && arguments.positional.size() > 1) {
      arguments.positional[1] = escaped(runtime, arguments.positional[1]);
    }
    return as_markup(runtime, call_builtin(runtime, row_, subject_, arguments));
  }

 private:
  const Builtin& row_;
  Value subject_;
};

}  // namespace

std::string html_escaped(std::string_view text) {
  static constexpr std::string_view kSpecial = "&<>\"'";
  static constexpr const char* kEntities[] = {"&amp;", "&lt;", "&gt;", "&#34;", "&#39;"};
  std::string out;
  for (const char c : text) {
    const auto found = kSpecial.find(c);
    out += found == std::string_view::npos ? std::string(1, c) : kEntities[found];
  }
  return out;
}

Value escaped(Runtime& runtime, const Value& value) {
  return value.is_markup() ? value : runtime.markup(html_escaped(to_text(runtime, value)));
}

Value bound_to_markup(const Builtin& row, Value subject) {
  return Value(std::make_shared<const MarkupMethod>(row, std::move(subject)));
}

}  // namespace inlay::jinja
