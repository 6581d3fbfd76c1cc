// SPDX-License-Identifier: Apache-2.0
#include "finetune/choose_checkpoint.h"

#include <algorithm>
#include <filesystem>
#include <optional>
#include <ranges>
#include <span>
#include <system_error>
#include <vector>

#include "core/error.h"
#include "core/io/file_system.h"

namespace inlay {
namespace {

constexpr i64 kMaxNameBytes = 256;

bool is_sound(const std::string& checkpoint) {
  try {
    read_checkpoint(checkpoint);
    return true;
  } catch (const Error&) {
    return false;
  }
}

// The newest sound one of `steps`, which ascend.
std::optional<i64> newest_sound(const RunDirectory& directory, std::span<const i64> steps) {
  for (const i64 step : std::views::reverse(steps)) {
    if (is_sound(directory.checkpoint(step))) {
      return step;
    }
  }
  return {};
}

// The end of a sentence that says a checkpoint, of step `asked` if that is known, is not fit for
// use. An earlier one comes first: who names a step wants to go on from there, not from behind it.
std::string offer(const RunDirectory& directory, std::optional<i64> asked) {
  const std::vector<i64> steps = directory.steps();
  const auto behind = asked ? std::ranges::upper_bound(steps, *asked) : steps.end();
  const auto before = newest_sound(directory, {steps.begin(), behind});
  const auto after = newest_sound(directory, {behind, steps.end()});
  const auto name = [](i64 step) { return str("step-", step, " (--resume step-", step, ")"); };
  if (!before && !after) {
    return "";
  }
  std::string text = "; ";
  if (before) {
    text += str("the newest sound checkpoint", after ? " before it" : "", " is ", name(*before));
  }
  if (after) {
    text += str(before ? ", and " : "the newest sound checkpoint ", before ? "after it " : "is ",
                name(*after));
  }
  return text;
}

std::string last_checkpoint(const RunDirectory& directory) {
  const std::string pointer = join_path(directory.checkpoints(), "last");
  if (!is_file(pointer)) {
    if (directory.steps().empty()) {
      throw ConfigError(str(directory.path(), ": this run has no checkpoint to resume from"));
    }
    throw DataError(str(pointer, ": there is no such file, which names the last checkpoint"));
  }
  // A damaged pointer may be of any size; a name is short.
  const i64 size = file_system().info(pointer).size;
  std::string name = size > kMaxNameBytes ? "" : file_system().read(pointer, kMaxNameBytes);
  name.erase(name.find_last_not_of(" \n\r") + 1);
  const auto step = step_of_name(name);
  if (!step) {
    throw DataError(str(pointer,
                        ": the file is damaged: expected the name of a checkpoint, such "
                        "as step-4, found ",
                        size, " bytes that are none"));
  }
  if (!is_directory(directory.checkpoint(*step))) {
    throw DataError(str(pointer, ": names ", name, ", and there is no such checkpoint"));
  }
  return directory.checkpoint(*step);
}

bool same_place(const std::string& a, const std::string& b) {
  std::error_code ignored;
  return std::filesystem::equivalent(a, b, ignored);
}

std::string named_checkpoint(const RunDirectory& directory, const std::string& which) {
  for (const std::string& candidate : {join_path(directory.checkpoints(), which), which}) {
    if (is_plain_name(base_name(candidate)) && is_directory(candidate)) {
      return candidate;
    }
  }
  std::string there;
  for (const i64 step : directory.steps()) {
    there += str(there.empty() ? "" : ", ", "step-", step);
  }
  throw ConfigError(str("--resume ", printable(which), ": there is no such checkpoint in ",
                        directory.checkpoints(), there.empty() ? "" : "; there are: " + there));
}

bool means_last(const RunDirectory& directory, const std::string& which) {
  return which == "last" || same_place(which, directory.path()) ||
         same_place(which, directory.checkpoints()) ||
         same_place(which, join_path(directory.checkpoints(), "last"));
}

}  // namespace

ChosenCheckpoint choose_checkpoint(const RunDirectory& directory, const std::string& which) {
  std::optional<i64> asked;
  try {
    const std::string path = means_last(directory, which) ? last_checkpoint(directory)
                                                          : named_checkpoint(directory, which);
    // Before it is read: where it is damaged, what is offered depends on which was asked for.
    asked = step_of_name(base_name(path));
    return {path, read_checkpoint(path)};
  } catch (const DataError& e) {
    throw DataError(e.what() + offer(directory, asked));
  } catch (const IoError& e) {
    throw DataError(e.what() + offer(directory, asked));
  }
}

}  // namespace inlay
