// SPDX-License-Identifier: Apache-2.0
#include "finetune/adapters/matching.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "core/error.h"
#include "data/text/regex.h"

namespace inlay {
namespace {

std::vector<std::string> as_list(const std::optional<StringOrList>& value) {
  if (!value) {
    return {};
  }
  const auto* list = std::get_if<std::vector<std::string>>(&*value);
  return list != nullptr ? *list : std::vector<std::string>{std::get<std::string>(*value)};
}

std::vector<std::string> components(std::string_view path) {
  std::vector<std::string> out(1);
  for (const char c : path) {
    if (c == '.') {
      out.emplace_back();
    } else {
      out.back() += c;
    }
  }
  return out;
}

std::optional<i64> as_number(const std::string& text) {
  i64 value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() && value >= 0
             ? std::optional(value)
             : std::nullopt;
}

// Python's "(?P<name>…)" as a plain group: nothing here asks for its name.
std::string without_group_names(std::string expression) {
  constexpr std::string_view kNamed = "(?P<";
  for (std::size_t at = expression.find(kNamed); at != std::string::npos;
       at = expression.find(kNamed, at + 1)) {
    const std::size_t end = expression.find('>', at);
    if (end != std::string::npos) {
      expression.replace(at, end + 1 - at, "(?:");
    }
  }
  return expression;
}

bool is_all_linear(const StringOrList& target) {
  const auto* text = std::get_if<std::string>(&target);
  if (text == nullptr) {
    return false;
  }
  std::string lower = *text;
  std::ranges::transform(lower, lower.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  });
  return lower == "all-linear";
}

}  // namespace

bool ends_with_module(std::string_view path, std::string_view entry) {
  return path == entry || (path.size() > entry.size() && path.ends_with(entry) &&
                           path[path.size() - entry.size() - 1] == '.');
}

bool ends_as_text(std::string_view path, std::string_view entry) {
  return path.ends_with(entry) || str("base_model.model.", path).ends_with(entry);
}

std::optional<i64> layer_index(std::string_view path, const std::vector<std::string>& lists) {
  // Every number that a name stands before, and the path up to that.
  std::vector<std::pair<i64, std::string_view>> numbers;
  for (std::size_t dot = path.find('.'); dot != std::string_view::npos;) {
    const std::size_t next = path.find('.', dot + 1);
    const std::optional<i64> number =
        next == std::string_view::npos
            ? std::nullopt
            : as_number(std::string(path.substr(dot + 1, next - dot - 1)));
    if (number && path.substr(0, dot).find('.') != std::string_view::npos) {
      numbers.emplace_back(*number, path.substr(0, dot));
    }
    dot = next;
  }
  if (lists.empty()) {
    return numbers.empty() ? std::nullopt : std::optional(numbers[0].first);
  }
  for (const std::string& list : lists) {
    for (const auto& [number, before] : numbers) {
      if (before.ends_with("." + list)) {
        return number;
      }
    }
  }
  return {};
}

// One entry of a list of patterns: a path's end, or a regular expression over the whole path.
struct ModuleMatcher::Pattern {
  std::string where;  // pointer + "/target_modules"
  std::string text;
  std::optional<Regex> regex;
  i64 hits = 0;
  bool covers_unwanted_layer = false;

  bool covers(const std::string& path) const {
    if (!regex) {
      return ends_with_module(path, text);
    }
    std::vector<Regex::Match> matches;
    regex->find_all(path, matches);
    return matches.size() == 1 && matches[0].begin == 0 &&
           matches[0].end == static_cast<i64>(path.size());
  }
  bool hit(const std::string& path) {
    const bool covered = covers(path);
    hits += covered ? 1 : 0;
    return covered;
  }
};

struct ModuleMatcher::Patterns {
  bool all_linear = false;
  std::vector<Pattern> target, exclude, save, rank, alpha;
  std::vector<std::string> layer_lists;
  std::vector<std::pair<i64, i64>> layers;  // number, hits

  static Pattern literal(const std::string& where, const std::string& text) {
    return {where, text, {}, 0};
  }
  // `around` holds the expression: "^(?:" … ")$".
  static Pattern expression(const std::string& where, const std::string& text, const char* before,
                            const char* after) {
    try {
      return {where, text, Regex(before + without_group_names(text) + after), 0};
    } catch (const DataError& e) {
      throw ConfigError(str(where, ": ", e.what()));
    }
  }
};

ModuleMatcher::ModuleMatcher(const PeftConfig& config, const std::string& pointer)
    : config_(config), pointer_(pointer), patterns_(std::make_unique<Patterns>()) {
  Patterns& p = *patterns_;
  p.all_linear = is_all_linear(config.target_modules);
  const auto fill = [](std::vector<Pattern>& out, const std::string& where,
                       const StringOrList& value) {
    if (const auto* list = std::get_if<std::vector<std::string>>(&value)) {
      for (const std::string& entry : *list) {
        out.push_back(Patterns::literal(where, entry));
      }
    } else {
      out.push_back(Patterns::expression(where, std::get<std::string>(value), "^(?:", ")$"));
    }
  };
  if (!p.all_linear) {
    fill(p.target, pointer + "/target_modules", config.target_modules);
  }
  if (config.exclude_modules) {
    fill(p.exclude, pointer + "/exclude_modules", *config.exclude_modules);
  }
  for (const std::string& entry : config.modules_to_save) {
    p.save.push_back(Patterns::literal(pointer + "/modules_to_save", entry));
  }
  for (const auto& [pattern, rank] : config.rank_pattern) {
    p.rank.push_back(
        Patterns::expression(pointer + "/rank_pattern", pattern, "^(?:.*\\.)?(?:", ")$"));
  }
  for (const auto& [pattern, alpha] : config.alpha_pattern) {
    p.alpha.push_back(
        Patterns::expression(pointer + "/alpha_pattern", pattern, "^(?:.*\\.)?(?:", ")$"));
  }
  p.layer_lists = as_list(config.layers_pattern);
  for (const i64 layer : config.layers_to_transform.value_or(std::vector<i64>{})) {
    p.layers.emplace_back(layer, 0);
  }
}

ModuleMatcher::~ModuleMatcher() = default;

bool ModuleMatcher::all_linear() const {
  return patterns_->all_linear;
}

bool ModuleMatcher::excluded(const std::string& path) {
  for (Pattern& p : patterns_->exclude) {
    if (p.hit(path)) {
      return true;
    }
  }
  return saves_by_name(path);
}

bool ModuleMatcher::targeted(const std::string& path, bool all_linear) {
  if (patterns_->all_linear) {
    return all_linear;
  }
  std::vector<Pattern*> covering;
  bool by_whole_path = false;
  for (Pattern& p : patterns_->target) {
    if (p.covers(path)) {
      covering.push_back(&p);
      by_whole_path = by_whole_path || (!p.regex && p.text == path);
    }
  }
  // A module named by its whole path is meant in whatever layer it lies.
  const bool wanted = !covering.empty() && (layer_wanted(path) || by_whole_path);
  for (Pattern* p : covering) {
    p->hits += wanted ? 1 : 0;
    p->covers_unwanted_layer = p->covers_unwanted_layer || !wanted;
  }
  return wanted;
}

bool ModuleMatcher::layer_wanted(const std::string& path) {
  if (patterns_->layers.empty()) {
    return true;
  }
  const std::optional<i64> layer = layer_index(path, patterns_->layer_lists);
  for (auto& [number, hits] : patterns_->layers) {
    if (layer == number) {
      ++hits;
      return true;
    }
  }
  return false;
}

std::optional<ModuleMatcher::Choice> ModuleMatcher::match(const std::string& path,
                                                          bool all_linear) {
  seen_.push_back(path);
  if (excluded(path) || !targeted(path, all_linear) ||
      (patterns_->all_linear && !layer_wanted(path))) {
    return {};
  }
  chosen_.push_back(path);
  if (const Pattern* p = saving(path); p != nullptr && contradiction_.empty()) {
    contradiction_ =
        str(p->where, ": \"", printable(p->text), "\" ends the path of ", path,
            " or of a module around it, which target_modules adapts, and what is saved whole takes "
            "no factors: name whole parts of the path");
  }
  return factors(path);
}

ModuleMatcher::Choice ModuleMatcher::factors(const std::string& path) {
  Choice choice{config_.r, config_.lora_alpha};
  for (std::size_t i = 0; i < patterns_->rank.size(); ++i) {
    if (patterns_->rank[i].hit(path)) {
      choice.rank = config_.rank_pattern[i].second;
      break;
    }
  }
  for (std::size_t i = 0; i < patterns_->alpha.size(); ++i) {
    if (patterns_->alpha[i].hit(path)) {
      choice.alpha = config_.alpha_pattern[i].second;
      break;
    }
  }
  return choice;
}

const ModuleMatcher::Pattern* ModuleMatcher::saving(const std::string& path) const {
  const std::vector<Pattern>& save = patterns_->save;
  for (std::size_t end = path.find('.');; end = path.find('.', end + 1)) {
    const std::string module = path.substr(0, end);
    const auto it =
        std::ranges::find_if(save, [&](const Pattern& p) { return ends_as_text(module, p.text); });
    if (it != save.end()) {
      return &*it;
    }
    if (end == std::string::npos) {
      return nullptr;
    }
  }
}

bool ModuleMatcher::saves(const std::string& path) {
  const Pattern* outermost = nullptr;
  std::size_t saved = 0;  // the length of the outermost module's path
  for (std::size_t end = path.find('.');; end = path.find('.', end + 1)) {
    const std::string module = path.substr(0, end);
    for (Pattern& p : patterns_->save) {
      if (!ends_as_text(module, p.text)) {
        continue;
      }
      ++p.hits;
      if (outermost == nullptr) {
        outermost = &p;
        saved = module.size();
      } else if (module.size() > saved && contradiction_.empty()) {
        contradiction_ = str(p.where, ": \"", printable(p.text), "\" means ", module,
                             ", which lies in ", path.substr(0, saved), ", saved whole by \"",
                             printable(outermost->text), "\": leave one of them out");
      }
    }
    if (end == std::string::npos) {
      return outermost != nullptr;
    }
  }
}

bool ModuleMatcher::saves_by_name(const std::string& path) const {
  return std::ranges::any_of(patterns_->save, [&](const Pattern& p) {
    for (std::size_t end = path.find('.');; end = path.find('.', end + 1)) {
      if (ends_with_module(std::string_view(path).substr(0, end), p.text)) {
        return true;
      }
      if (end == std::string::npos) {
        return false;
      }
    }
  });
}

// " (did you mean ...); it has q_proj, ...": the last components of the paths seen.
std::string ModuleMatcher::names_seen(const std::string& wanted) const {
  std::vector<std::string> names;
  for (const std::string& path : seen_) {
    const std::string last = components(path).back();
    if (std::ranges::find(names, last) == names.end()) {
      names.push_back(last);
    }
  }
  std::string known;
  for (const std::string& name : names) {
    known += (known.empty() ? "" : ", ") + name;
  }
  return did_you_mean(wanted, names) + "; it has " + known;
}

// Why `pattern`, which covers `path`, did not get it.
std::string ModuleMatcher::why_taken(const std::vector<Pattern>& group, const Pattern& pattern,
                                     const std::string& path) const {
  const auto covers = [&](const Pattern& p) { return p.covers(path); };
  if (&group == &patterns_->target) {
    const auto it = std::ranges::find_if(patterns_->exclude, covers);
    return it != patterns_->exclude.end()
               ? str("that exclude_modules (\"", printable(it->text), "\") leaves out")
               : std::string("that modules_to_save keeps whole");
  }
  if (&group != &patterns_->exclude && std::ranges::find(chosen_, path) == chosen_.end()) {
    return "that target_modules does not choose";
  }
  const auto first = std::ranges::find_if(group, covers);
  INLAY_ASSERT(first != group.end() && &*first != &pattern);
  return str("that \"", printable(first->text), "\", which stands before it, takes");
}

std::string ModuleMatcher::why_unused(const std::vector<Pattern>& group,
                                      const Pattern& pattern) const {
  if (pattern.covers_unwanted_layer) {
    return " matches no module in the layers of layers_to_transform";
  }
  for (const std::vector<std::string>* paths : {&chosen_, &seen_}) {
    const auto path =
        std::ranges::find_if(*paths, [&](const std::string& p) { return pattern.covers(p); });
    if (path != paths->end()) {
      return " matches only modules " + why_taken(group, pattern, *path);
    }
  }
  const bool is_path_end = std::ranges::any_of(
      seen_, [&](const std::string& path) { return ends_with_module(path, pattern.text); });
  return " matches no module of this model" +
         (is_path_end ? str(": a string is a regular expression over the whole path; the list [\"",
                            printable(pattern.text), "\"] means every module of that name")
                      : names_seen(pattern.text));
}

void ModuleMatcher::check_layers() const {
  const bool targets_exist = std::ranges::all_of(
      patterns_->target, [](const Pattern& p) { return p.hits > 0 || p.covers_unwanted_layer; });
  for (const auto& [layer, hits] : patterns_->layers) {
    if (hits == 0 && targets_exist) {
      throw ConfigError(
          str(pointer_, "/layers_to_transform: no targeted module lies in layer ", layer));
    }
  }
}

void ModuleMatcher::check_all_used() const {
  if (!contradiction_.empty()) {
    throw ConfigError(contradiction_);
  }
  check_layers();
  for (const auto* group : {&patterns_->target, &patterns_->exclude, &patterns_->save,
                            &patterns_->rank, &patterns_->alpha}) {
    for (const Pattern& p : *group) {
      if (p.hits == 0) {
        throw ConfigError(str(p.where, ": \"", printable(p.text), "\"", why_unused(*group, p)));
      }
    }
  }
}

}  // namespace inlay
