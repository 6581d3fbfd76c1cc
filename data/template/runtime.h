// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/types.h"
#include "data/template/civil_time.h"
#include "data/template/value.h"

/// One rendering's budget, place and belongings. Whatever makes a value goes through here, so that
/// no template can hang, exhaust memory or fail without saying where.
namespace inlay::jinja {

/// A real conversation takes thousands of steps; these leave room for millions and still end a
/// hostile template within seconds and a few hundred megabytes.
struct Limits {
  /// One step for each node evaluated and each list element touched, and for every kBytesPerStep
  /// bytes of text made or searched.
  i64 steps = 10'000'000;
  /// Bytes of the output and of any one string.
  i64 text_bytes = i64{64} << 20;
  /// Statements, expressions and macro calls inside one another.
  int depth = 600;
};

struct RenderOptions {
  /// What strftime_now() answers. Without it a template that asks is an error.
  std::optional<CivilTime> now;
  Limits limits;
};

/// `name: line 3: what`, thrown as DataError.
[[noreturn]] void fail_at(std::string_view name, int line, std::string_view what);

class Runtime {
 public:
  Runtime(std::string_view name, const RenderOptions& options) : name_(name), options_(options) {}
  ~Runtime();
  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;

  const RenderOptions& options() const { return options_; }
  /// Errors are reported here from now on.
  void at_line(int line) { line_ = line; }
  [[noreturn]] void fail(std::string_view what) const { fail_at(name_, line_, what); }
  void check_defined(const Value& value) const {
    if (value.is(Kind::kUndefined)) {
      fail(value.why_undefined());
    }
  }

  void charge(i64 steps) {
    steps_ += steps;
    if (steps_ > options_.limits.steps) {
      fail_steps();
    }
  }
  /// For `count` strings or dict entries that are about to be made: each takes about four times the
  /// memory of a place in a list.
  void charge_objects(std::size_t count) { charge(static_cast<i64>(count) * 4); }
  void charge(const std::vector<Value>& items) { charge(static_cast<i64>(items.size()) + 1); }
  /// For text that is read or copied.
  void charge_text(std::size_t bytes) { charge(static_cast<i64>(bytes) / kBytesPerStep + 1); }
  /// For a search of `needle` bytes in `hay` bytes, whose worst case is their product.
  void charge_search(std::size_t hay, std::size_t needle);
  /// Fails when a text of `bytes` bytes would be too long: before it is made.
  void check_text(std::size_t bytes) const;

  Value text(std::string text);
  Value markup(std::string html);
  Value sequence(SequenceKind kind, std::vector<Value> items);
  Value list(std::vector<Value> items) { return sequence(SequenceKind::kList, std::move(items)); }
  Value dict(Dict dict);
  /// The runtime owns all namespaces and empties them at its end: they alone can form cycles.
  std::shared_ptr<Namespace> make_namespace();

  /// Holds one level of nesting for as long as it lives.
  class Level {
   public:
    explicit Level(Runtime& runtime) : runtime_(runtime) {
      if (++runtime_.depth_ > runtime_.options_.limits.depth) {
        --runtime_.depth_;
        runtime_.fail_depth();
      }
    }
    ~Level() { --runtime_.depth_; }
    Level(const Level&) = delete;
    Level& operator=(const Level&) = delete;

   private:
    Runtime& runtime_;
  };

 private:
  static constexpr i64 kBytesPerStep = 32;
  [[noreturn]] void fail_steps() const;
  [[noreturn]] void fail_depth() const;
  void check_depth(const Value& value) const;

  std::string_view name_;
  const RenderOptions& options_;
  int line_ = 1;
  i64 steps_ = 0;
  int depth_ = 0;
  std::vector<std::shared_ptr<Namespace>> namespaces_;
};

}  // namespace inlay::jinja
