// SPDX-License-Identifier: Apache-2.0
#include "tests/apps/child_process.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>

namespace inlay {
namespace {

constexpr unsigned kMaxSeconds = 60;

std::string content_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

void redirect(const std::string& path, int flags, int descriptor) {
  constexpr mode_t kMode = 0600;
  const int file = ::open(path.c_str(), flags | O_CREAT, kMode);
  if (file < 0 || ::dup2(file, descriptor) < 0) {
    ::_exit(127);
  }
}

}  // namespace

std::string command_path() {
#ifdef INLAY_COMMAND
  return INLAY_COMMAND;
#else
  const char* path = std::getenv("INLAY_COMMAND");
  if (path == nullptr) {
    throw std::runtime_error("INLAY_COMMAND must say where the inlay command is");
  }
  return path;
#endif
}

ChildProcess::ChildProcess(const std::string& directory, const std::vector<std::string>& arguments,
                           const std::string& input, const std::function<void()>& prepare)
    : streams_(::testing::TempDir() + "inlay-child-XXXXXX") {
  const std::string command = command_path();
  if (::mkdtemp(streams_.data()) == nullptr) {
    throw std::runtime_error(streams_ + ": cannot be made");
  }
  std::ofstream(stream("in"), std::ios::binary) << input;
  std::vector<char*> argv = {const_cast<char*>(command.c_str())};
  for (const std::string& argument : arguments) {
    argv.push_back(const_cast<char*>(argument.c_str()));
  }
  argv.push_back(nullptr);
  pid_ = ::fork();
  if (pid_ < 0) {
    throw std::runtime_error("fork failed");
  }
  if (pid_ == 0) {
    redirect(stream("in"), O_RDONLY, STDIN_FILENO);
    redirect(stream("out"), O_WRONLY, STDOUT_FILENO);
    redirect(stream("err"), O_WRONLY, STDERR_FILENO);
    ::setenv("HF_HUB_CACHE", "no-cache", 1);
    ::alarm(kMaxSeconds);  // outlives exec
    if (::chdir(directory.c_str()) == 0) {
      if (prepare) {
        prepare();
      }
      ::execv(command.c_str(), argv.data());
    }
    ::_exit(127);
  }
}

ChildProcess::~ChildProcess() {
  if (pid_ > 0) {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, &status_, 0);
  }
  std::error_code ignored;
  std::filesystem::remove_all(streams_, ignored);
}

std::string ChildProcess::stream(const char* name) const {
  return streams_ + "/" + name;
}

void ChildProcess::send(int signal) const {
  if (pid_ > 0) {
    ::kill(pid_, signal);
  }
}

std::string ChildProcess::errors_so_far() const {
  return content_of(stream("err"));
}

bool ChildProcess::has_mapped(const std::string& path) const {
  return content_of("/proc/" + std::to_string(pid_) + "/maps").find(path) != std::string::npos;
}

bool ChildProcess::has_ended() {
  if (pid_ > 0 && ::waitpid(pid_, &status_, WNOHANG) == pid_) {
    pid_ = -1;
  }
  return pid_ < 0;
}

Finished ChildProcess::wait() {
  if (pid_ > 0) {
    ::waitpid(pid_, &status_, 0);
    pid_ = -1;
  }
  const int code = WIFEXITED(status_) ? WEXITSTATUS(status_) : -WTERMSIG(status_);
  return {code, content_of(stream("out")), content_of(stream("err"))};
}

Finished run_inlay(const std::string& directory, const std::vector<std::string>& arguments,
                   const std::string& input, const std::function<void()>& prepare) {
  return ChildProcess(directory, arguments, input, prepare).wait();
}

std::vector<std::string> words(const std::string& text) {
  std::istringstream in(text);
  std::vector<std::string> out;
  for (std::string word; in >> word;) {
    out.push_back(word);
  }
  return out;
}

}  // namespace inlay
