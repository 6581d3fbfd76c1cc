// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/io/file_system.h"
#include "core/types.h"
#include "finetune/run_contents.h"

namespace inlay {

/// The directory of a run:
///
///   config.resolved.json   enough to repeat it
///   manifest.json          what went in and what came out, with checksums; written last
///   metrics.jsonl          a line a logged step, a line an evaluation
///   checkpoints/step-N/    what is needed to go on from step N, and `last`, which names the newest
///   adapter/ or model/     the result
///
/// Held by a lock while it is open, so two runs cannot write into one directory.
class RunDirectory {
 public:
  enum class Mode {
    kFresh,      // the directory must be absent or empty
    kOverwrite,  // what an earlier run wrote is removed; other files stay
    kResume,     // the directory holds a run to go on with
  };
  /// Creates the directory and takes the lock; what an earlier run wrote is still there. `result`
  /// is the folder this one will write, kAdapterFolder or kModelFolder. Throws ConfigError when the
  /// directory is in use, not as `mode` needs it, or holds what no run wrote where this run writes.
  RunDirectory(const std::string& path, Mode mode, const std::string& result);
  RunDirectory(const RunDirectory&) = delete;
  RunDirectory& operator=(const RunDirectory&) = delete;
  /// A run that never began leaves no directory behind, unless there was one before.
  ~RunDirectory();

  /// To be called when everything the run needs is there and it starts to write: only now does
  /// kOverwrite remove what is replaced, so that a mistake in the config costs no earlier run.
  /// `settings` is the text of config.resolved.json, from here on the mark of a run.
  void begin(const std::string& settings);

  /// Writes them again where another program has removed them, or the whole directory.
  void keep_settings(const std::string& settings) const;

  const std::string& path() const { return path_; }
  std::string config_file() const { return join_path(path_, "config.resolved.json"); }
  std::string manifest_file() const { return join_path(path_, "manifest.json"); }
  std::string metrics_file() const { return join_path(path_, "metrics.jsonl"); }
  std::string adapter() const { return join_path(path_, "adapter"); }
  std::string model() const { return join_path(path_, "model"); }
  std::string checkpoint(i64 step) const {
    return join_path(checkpoints(), "step-" + std::to_string(step));
  }

  std::string checkpoints() const { return join_path(path_, "checkpoints"); }

  /// Names `step` in checkpoints/last and removes the oldest checkpoints beyond `limit` (never that
  /// one).
  void checkpoint_saved(i64 step, std::optional<i64> limit) const;
  /// The steps there are folders for, lowest first.
  std::vector<i64> steps() const;

 private:
  void require_usable() const;

  std::string path_;
  Mode mode_;
  std::string result_;
  bool made_ = false;  // by us
  bool begun_ = false;
  std::unique_ptr<DirectoryLock> lock_;
};

/// The step of a checkpoint's folder name, "step-8"; nothing for any other name.
std::optional<i64> step_of_name(const std::string& name);

}  // namespace inlay
