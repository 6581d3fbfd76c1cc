// SPDX-License-Identifier: Apache-2.0

// The `inlay` command: finds the command, runs it, and turns what it throws into one message and an
// exit code.

#include <omp.h>
#include <sched.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <new>
#include <string>
#include <vector>

#include "apps/commands.h"
#include "core/error.h"
#include "core/io/file_system.h"

namespace {

using inlay::Command;

// Where OMP_PROC_BIND and the like are set, libgomp has bound this thread to one processor by now,
// and with it every thread of a program that is started in its place.
void free_thread() {
  cpu_set_t all;
  CPU_ZERO(&all);
  for (int place = 0; place < omp_get_num_places(); ++place) {
    std::vector<int> processors(static_cast<std::size_t>(omp_get_place_num_procs(place)));
    omp_get_place_proc_ids(place, processors.data());
    for (const int processor : processors) {
      CPU_SET(static_cast<std::size_t>(processor), &all);
    }
  }
  if (CPU_COUNT(&all) > 0) {
    sched_setaffinity(0, sizeof all, &all);
  }
}

// libgomp's threads wait for one another by spinning, for about 20 ms. Where another program wants
// the processors too, a spinning thread holds back the one it waits for: beside two busy programs a
// training step took 15 times as long. After half a millisecond they are to sleep. libgomp reads
// its environment before main() and never again, so the program starts once more.
void wait_politely(char** argv) {
  if (std::getenv("GOMP_SPINCOUNT") == nullptr && std::getenv("OMP_WAIT_POLICY") == nullptr) {
    setenv("GOMP_SPINCOUNT", "10000", 1);
    free_thread();
    execv("/proc/self/exe", argv);  // returns only when it cannot: then it goes on as it is
  }
}

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
  if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) {
    inlay::throw_io_error("stdout", "write", errno);
  }
  return code;
}

}  // namespace

int main(int argc, char** argv) {
  wait_politely(argv);
  try {
    return run_and_flush(std::vector<std::string>(argv + 1, argv + argc));
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
