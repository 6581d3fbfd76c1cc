// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>
#include <vector>

#include "core/types.h"

namespace inlay {

/// The `inlay` command under test: what the build says, or else the environment's INLAY_COMMAND.
std::string command_path();

/// How a child ended and what it printed.
struct Finished {
  int exit_code = 0;  // minus the signal's number when one ended it
  std::string out;
  std::string err;
};

/// The command as a child process with a working directory of its own. It sees none of the
/// machine's model caches, reads `input` as its stdin, and is ended by an alarm after a minute: a
/// hang is a failed test. `prepare` is called in the child at last, to set limits, close streams or
/// ignore signals.
class ChildProcess {
 public:
  ChildProcess(const std::string& directory, const std::vector<std::string>& arguments,
               const std::string& input = "", const std::function<void()>& prepare = {});
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;
  ~ChildProcess();

  void send(int signal) const;
  /// What is on stderr so far.
  std::string errors_so_far() const;
  /// Whether the file at this absolute path is mapped now.
  bool has_mapped(const std::string& path) const;
  bool has_ended();
  Finished wait();

 private:
  std::string stream(const char* name) const;

  std::string streams_;  // a folder with in, out and err
  pid_t pid_ = -1;
  int status_ = 0;
};

/// Starts the command and waits for its end.
Finished run_inlay(const std::string& directory, const std::vector<std::string>& arguments,
                   const std::string& input = "", const std::function<void()>& prepare = {});

/// "train run.json" as arguments; no quoting.
std::vector<std::string> words(const std::string& text);

}  // namespace inlay
