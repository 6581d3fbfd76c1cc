// SPDX-License-Identifier: Apache-2.0

// The `inlay` command: finds the command, runs it, and turns what it throws into one message and an
// exit code.

#include <cerrno>
#include <cstdio>
#include <exception>
#include <new>
#include <string>
#include <vector>

#include "apps/commands.h"
#include "apps/signals.h"
#include "apps/start.h"
#include "core/error.h"
#include "core/io/file_system.h"

namespace {

using inlay::Command;

void print_help() {
  std::fputs(
      "inlay trains small transformers and fine-tunes them with LoRA and QLoRA on this machine.\n"
      "\n"
      "Usage: inlay COMMAND [OPTIONS]\n"
      "\n"
      "Commands:\n",
      stdout);
  for (const Command& command : inlay::commands()) {
    std::printf("  %-10s %s\n", command.name, command.help);
  }
  std::fputs("\n`inlay COMMAND --help` tells more. Results go to stdout, progress to stderr.\n",
             stdout);
}

int run(const std::vector<std::string>& words) {
  if (words.empty() || words[0] == "--help" || words[0] == "-h" || words[0] == "help") {
    print_help();
    return words.empty() ? static_cast<int>(inlay::ExitCode::kUsage) : 0;
  }
  if (words[0] == "--version") {
    std::puts("inlay " INLAY_VERSION);
    return 0;
  }
  std::vector<std::string> names;
  for (const Command& command : inlay::commands()) {
    if (words[0] == command.name) {
      return command.run(std::span(words).subspan(1));
    }
    names.emplace_back(command.name);
  }
  throw inlay::ConfigError(inlay::str("unknown command \"", inlay::printable(words[0]), "\"",
                                      inlay::did_you_mean(words[0], names), "; see inlay --help"));
}

// Results go to stdout, and a full disk behind it is a failure like any other.
int run_and_flush(const std::vector<std::string>& words) {
  const int code = run(words);
  errno = 0;
  if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) {
    // Of a write that failed earlier the reason may be gone.
    inlay::throw_io_error("stdout", "write", errno != 0 ? errno : EIO);
  }
  return code;
}

// The one place where an error becomes a sentence.
int run_and_report(const std::vector<std::string>& words) {
  try {
    return run_and_flush(words);
  } catch (const inlay::Error& e) {
    std::fflush(stdout);
    std::fprintf(stderr, "inlay: %s\n", e.what());
    return static_cast<int>(e.exit_code());
  } catch (const std::bad_alloc&) {
    std::fputs("inlay: out of memory\n", stderr);
    return static_cast<int>(inlay::ExitCode::kMemory);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "inlay: internal error: %s; this is a bug in inlay, please report it\n",
                 e.what());
    return static_cast<int>(inlay::ExitCode::kInternal);
  }
}

}  // namespace

int main(int argc, char** argv) {
  inlay::open_standard_streams();
  inlay::spare_addresses();
  return inlay::on_enough_stack([&] {
    inlay::handle_signals();
    return run_and_report(std::vector<std::string>(argv + 1, argv + argc));
  });
}
