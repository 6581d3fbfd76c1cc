// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "finetune/config/peft_config.h"

namespace inlay {

/// Which modules an adapter config means, by PEFT's rules (full regex match of the path, or
/// equality with a list entry's path end), and with which rank. It remembers what each pattern hit,
/// for the errors about those that hit nothing.
class ModuleMatcher {
 public:
  /// `pointer` is where the config stands in its file ("/peft", or "" for an adapter_config.json).
  /// Throws ConfigError when a regular expression is wrong.
  ModuleMatcher(const PeftConfig& config, const std::string& pointer);
  ~ModuleMatcher();

  /// True when target_modules is the literal "all-linear".
  bool all_linear() const;

  struct Choice {
    i64 rank = 0;
    double alpha = 0.0;
  };
  /// Rank and alpha for a linear layer or embedding at `path`, or nothing. `all_linear` says
  /// whether the literal "all-linear" covers it (a linear layer other than the output head).
  std::optional<Choice> match(const std::string& path, bool all_linear);
  /// Rank and alpha for `path`, should it be adapted.
  Choice factors(const std::string& path);
  /// True when modules_to_save names `path` or a module around it. PEFT compares the ends of paths
  /// as text: "norm" means input_layernorm, too.
  bool saves(const std::string& path);
  /// The same by whole parts of the path, which is what keeps a module from being adapted.
  bool saves_by_name(const std::string& path) const;

  /// Throws ConfigError where modules_to_save contradicts itself or target_modules, and for the
  /// first entry of target_modules, exclude_modules, rank_pattern, alpha_pattern,
  /// layers_to_transform or modules_to_save that hit nothing, with the nearest of the names seen,
  /// or with the entry that took every module it matches. What of this a finished adapter shows is
  /// no mistake of its user's: its tensors tell.
  void check_all_used() const;

 private:
  struct Pattern;
  struct Patterns;
  bool excluded(const std::string& path);
  const Pattern* saving(const std::string& path) const;
  bool targeted(const std::string& path, bool all_linear);
  bool layer_wanted(const std::string& path);
  void check_layers() const;
  std::string why_unused(const std::vector<Pattern>& group, const Pattern& pattern) const;
  std::string why_taken(const std::vector<Pattern>& group, const Pattern& pattern,
                        const std::string& path) const;
  std::string names_seen(const std::string& wanted) const;

  PeftConfig config_;
  std::string pointer_;
  std::unique_ptr<Patterns> patterns_;
  std::vector<std::string> seen_, chosen_;
  std::string contradiction_;
};

/// True when `path` equals `entry` or ends with "." + entry.
bool ends_with_module(std::string_view path, std::string_view entry);

/// True when `path`, or "base_model.model." + path as PEFT has it, ends with the letters of
/// `entry`.
bool ends_as_text(std::string_view path, std::string_view entry);

/// The layer number of a module path: the first number after one of `lists` ("layers", "h",
/// "decoder.layers"), tried in order, or after any name when `lists` is empty. Neither the path's
/// first component counts as a name nor its last as a number.
std::optional<i64> layer_index(std::string_view path, const std::vector<std::string>& lists);

}  // namespace inlay
