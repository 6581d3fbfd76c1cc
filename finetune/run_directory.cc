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

bool holds_anything(const std::string& directory) {
  return std::ranges::any_of(file_system().list(directory), [](const std::string& name) {
    return name != kLockFileName && !is_leftover(name);
  });
}

// An empty folder is nothing to lose.
bool holds_something(const std::string& path) {
  const FileInfo info = file_system().info(path);
  return info.link || info.kind == FileKind::kFile || info.kind == FileKind::kOther ||
         (info.kind == FileKind::kDirectory && holds_anything(path));
}

}  // namespace

std::optional<i64> step_of_name(const std::string& name) {
  if (!name.starts_with(kStepPrefix)) {
    return {};
  }
  i64 step = 0;
  const char* begin = name.data() + kStepPrefix.size();
  const char* end = name.data() + name.size();
  const auto [stop, error] = std::from_chars(begin, end, step);
  // "step-08" and "step--8" are no names of ours.
  const bool ours = error == std::errc() && stop == end && step >= 0 &&
                    name == std::string(kStepPrefix) + std::to_string(step);
  return ours ? std::optional(step) : std::nullopt;
}

RunDirectory::RunDirectory(const std::string& path, Mode mode, const std::string& result)
    : path_(path), mode_(mode), result_(result) {
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
    require_usable();
  }
  make_directories(path);
  made_ = kind == FileKind::kNone;
  // All is looked at once more under the lock: another run may have written here since.
  lock_ = file_system().lock(path);
  require_usable();
  // Only with the lock: what looks like a leftover may be what another run is writing.
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
    // Somebody may have put a file there meanwhile.
    if (!holds_anything(path_)) {
      remove_tree(path_);
    }
  } catch (...) {  // NOLINT(bugprone-empty-catch): the error that ended the run is the one to tell
  }
}

void RunDirectory::require_usable() const {
  const bool is_run = is_run_directory(path_);
  if (mode_ == Mode::kFresh && holds_anything(path_)) {
    throw ConfigError(str(path_, ": the output directory is not empty",
                          is_run ? " (--resume goes on with the run there, --overwrite replaces it)"
                                 : ", and what is in it is not of a run; choose another one"));
  }
  if (mode_ == Mode::kResume && !is_run) {
    throw ConfigError(
        str(path_, ": there is no run to resume (it has no ", base_name(config_file()), ")"));
  }
  if (mode_ == Mode::kFresh) {
    return;
  }
  for (const std::string& path : paths_of_run(path_)) {
    if (!is_run && holds_something(path)) {
      throw ConfigError(str(path, ": this would be replaced, and no run wrote it (", path_,
                            " is not the directory of a run); choose another output directory"));
    }
  }
  if (const auto foreign = foreign_file(path_, result_)) {
    throw ConfigError(str(*foreign,
                          ": this would be replaced, and no run wrote it; move it away, "
                          "or choose another output directory"));
  }
}

void RunDirectory::begin(const std::string& settings) {
  // Before the first change: from here on the directory stays, whatever happens.
  begun_ = true;
  if (mode_ == Mode::kOverwrite) {
    remove_run(path_);
  }
  write_file(config_file(), settings);
  make_directories(checkpoints());
}

void RunDirectory::keep_settings(const std::string& settings) const {
  if (!is_file(config_file())) {
    write_file(config_file(), settings);
  }
}

void RunDirectory::checkpoint_saved(i64 step, std::optional<i64> limit) const {
  const std::string name = std::string(kStepPrefix) + std::to_string(step);
  // The new one is named before an old one goes: at any moment `last` leads to a whole checkpoint.
  write_file(join_path(checkpoints(), "last"), name + "\n");
  if (!limit) {
    return;
  }
  std::vector<i64> older = steps();
  std::erase(older, step);
  // The one just saved counts, and never goes.
  while (static_cast<i64>(older.size()) + 1 > std::max<i64>(1, *limit)) {
    if (const std::string oldest = checkpoint(older.front()); is_checkpoint_only(oldest)) {
      remove_whole(oldest);
    }
    older.erase(older.begin());
  }
}

std::vector<i64> RunDirectory::steps() const {
  std::vector<i64> found;
  if (is_directory(checkpoints())) {
    for (const std::string& name : file_system().list(checkpoints())) {
      if (const auto step = step_of_name(name); step && is_directory(checkpoint(*step))) {
        found.push_back(*step);
      }
    }
  }
  std::ranges::sort(found);
  return found;
}

}  // namespace inlay
