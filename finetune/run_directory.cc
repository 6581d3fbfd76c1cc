// SPDX-License-Identifier: Apache-2.0
#include "finetune/run_directory.h"

#include <algorithm>
#include <charconv>
#include <vector>

#include "core/error.h"
#include "core/io/atomic.h"

namespace inlay {
namespace {

constexpr std::string_view kStepPrefix = "step-";

// The step of a checkpoint's directory name.
std::optional<i64> step_of(const std::string& name) {
  if (!name.starts_with(kStepPrefix)) {
    return {};
  }
  i64 step = 0;
  const char* begin = name.data() + kStepPrefix.size();
  const char* end = name.data() + name.size();
  const auto [stop, error] = std::from_chars(begin, end, step);
  return error == std::errc() && stop == end && begin != end ? std::optional(step) : std::nullopt;
}

bool holds_anything(const std::string& directory) {
  return std::ranges::any_of(file_system().list(directory),
                             [](const std::string& name) { return name != kLockFileName; });
}

}  // namespace

RunDirectory::RunDirectory(const std::string& path, Mode mode) : path_(path), mode_(mode) {
  const FileKind kind = file_system().info(path).kind;
  if (kind != FileKind::kNone && kind != FileKind::kDirectory) {
    throw ConfigError(str(path, ": the output directory is a file"));
  }
  if (mode == Mode::kResume && kind == FileKind::kNone) {
    throw ConfigError(str(path, ": there is no run to resume"));
  }
  // Before the lock, which would leave its file in a folder that is none of ours. A folder with a
  // lock belongs to a run, and whether that is still going on is the first thing to tell.
  const bool locked_before = exists(join_path(path, kLockFileName));
  if (kind == FileKind::kDirectory && !locked_before) {
    require_empty();
  }
  make_directories(path);
  made_ = kind == FileKind::kNone;
  lock_ = file_system().lock(path);
  require_empty();
  remove_leftovers(path_);
  if (is_directory(checkpoints())) {
    remove_leftovers(checkpoints());
  }
}

RunDirectory::~RunDirectory() {
  if (!made_ || begun_) {
    return;
  }
  try {
    if (!holds_anything(path_)) {
      remove_tree(path_);
    }
  } catch (...) {  // NOLINT(bugprone-empty-catch): the error that ended the run is the one to tell
  }
}

void RunDirectory::require_empty() const {
  if (mode_ == Mode::kFresh && holds_anything(path_)) {
    throw ConfigError(
        str(path_,
            ": the output directory is not empty (--resume goes on with the run there, --overwrite "
            "replaces it)"));
  }
}

void RunDirectory::begin() {
  begun_ = true;
  if (mode_ == Mode::kOverwrite) {
    for (const std::string& old :
         {config_file(), manifest_file(), metrics_file(), adapter(), model(), checkpoints()}) {
      remove_tree(old);
    }
  }
  make_directories(checkpoints());
}

void RunDirectory::checkpoint_saved(i64 step, std::optional<i64> limit) const {
  const std::string name = std::string(kStepPrefix) + std::to_string(step);
  write_file(join_path(checkpoints(), "last"), name + "\n");
  if (!limit) {
    return;
  }
  std::vector<i64> steps;
  for (const std::string& entry : file_system().list(checkpoints())) {
    if (const auto s = step_of(entry); s && *s != step) {
      steps.push_back(*s);
    }
  }
  std::ranges::sort(steps);
  while (static_cast<i64>(steps.size()) + 1 > std::max<i64>(1, *limit)) {
    remove_tree(checkpoint(steps.front()));
    steps.erase(steps.begin());
  }
}

std::string RunDirectory::find_checkpoint(const std::string& which) const {
  std::string name = which;
  if (which == "last") {
    const std::string pointer = join_path(checkpoints(), "last");
    if (!is_file(pointer)) {
      throw ConfigError(str(path_, ": this run has no checkpoint to resume from"));
    }
    name = file_system().read(pointer, 256);
    name.erase(name.find_last_not_of(" \n") + 1);
  }
  for (const std::string& candidate : {join_path(checkpoints(), name), which}) {
    if (is_plain_name(base_name(candidate)) && is_directory(candidate)) {
      return candidate;
    }
  }
  throw ConfigError(
      str("--resume ", printable(which), ": there is no such checkpoint in ", checkpoints()));
}

}  // namespace inlay
