// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "core/error.h"
#include "tests/apps/child_process.h"
#include "tests/support/temp_directory.h"

namespace inlay {

inline constexpr ExitCode kUsage = ExitCode::kUsage;
inline constexpr ExitCode kData = ExitCode::kData;

/// A folder in which every part of a small run is in order, until a test spoils one of them:
///
///   run.json      LoRA on model/ with rows.jsonl, one step, into out/
///   model/        a llama of two layers over bytes: config.json, model.safetensors
///   adapter/      a LoRA adapter for it, on q_proj with rank 4
///   rows.jsonl    prompt and completion
///
/// Model and adapter were written by the command itself.
class Workshop {
 public:
  Workshop();

  std::string path(const std::string& name) const { return directory_.file(name); }
  /// Writes a file, its folders made.
  void write(const std::string& name, const std::string& content) const;
  std::string read(const std::string& name) const;
  nlohmann::json read_json(const std::string& name) const {
    return nlohmann::json::parse(read(name));
  }

  Finished run(const std::vector<std::string>& arguments, const std::string& input = "") const {
    return run_inlay(directory_.path(), arguments, input);
  }
  Finished run(const std::string& arguments, const std::string& input = "") const {
    return run(words(arguments), input);
  }

  /// Expects the command to refuse: this exit code, on stderr the one line "inlay: SENTENCE" and
  /// nothing else, nothing on stdout, and every file in the folder as it was. A sentence that ends
  /// in "…" is compared up to there.
  void expect_refused(const std::vector<std::string>& arguments, ExitCode code,
                      const std::string& sentence) const;
  void expect_refused(const std::string& arguments, ExitCode code,
                      const std::string& sentence) const {
    expect_refused(words(arguments), code, sentence);
  }

 private:
  /// Path to content.
  std::map<std::string, std::string> files() const;

  TempDirectory directory_;
};

/// run.json with other values at some JSON pointers.
using Changes = std::vector<std::pair<std::string, nlohmann::json>>;
std::string run_json(const Changes& changes);

/// The header of a safetensors file, and its data; and the file of both.
std::pair<nlohmann::json, std::string> split_safetensors(const std::string& file);
std::string join_safetensors(const std::string& header, const std::string& data);

/// "expected" at its start where that ends in "…", else the same.
bool matches_sentence(const std::string& text, const std::string& expected);

}  // namespace inlay
