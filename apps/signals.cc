// SPDX-License-Identifier: Apache-2.0
#include "apps/signals.h"

#include <signal.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <string_view>

#include "core/error.h"
#include "core/io/mapped_files.h"
#include "core/io/temporary_path.h"
#include "core/types.h"

namespace inlay {
namespace {

struct Signal {
  int number;
  std::string_view name;
};

constexpr std::array kEnding = {Signal{SIGHUP, "SIGHUP"},   Signal{SIGINT, "SIGINT"},
                                Signal{SIGQUIT, "SIGQUIT"}, Signal{SIGTERM, "SIGTERM"},
                                Signal{SIGALRM, "SIGALRM"}, Signal{SIGUSR1, "SIGUSR1"},
                                Signal{SIGUSR2, "SIGUSR2"}, Signal{SIGXCPU, "SIGXCPU"}};
constexpr std::array kFaults = {Signal{SIGBUS, "SIGBUS"}, Signal{SIGSEGV, "SIGSEGV"},
                                Signal{SIGILL, "SIGILL"}, Signal{SIGFPE, "SIGFPE"},
                                Signal{SIGABRT, "SIGABRT"}};

// Read and written by handlers: lock-free, so that they may.
std::atomic<bool> polite = false;
std::atomic<int> first_signal = 0;
std::atomic<u64> seen = 0;  // a bit for each number
std::atomic_flag ending = ATOMIC_FLAG_INIT;

/// A sentence put together without an allocator. What does not fit is cut off.
class Sentence {
 public:
  Sentence& operator<<(std::string_view text) {
    for (std::size_t i = 0; i < text.size() && size_ + 1 < sizeof text_; ++i) {
      text_[size_++] = text[i];
    }
    return *this;
  }
  void write() {
    text_[size_++] = '\n';
    static_cast<void>(::write(STDERR_FILENO, text_, size_) == 0);
  }

 private:
  char text_[2048];
  std::size_t size_ = 0;
};

std::string_view name_of(int number) {
  for (const Signal& signal : kEnding) {
    if (signal.number == number) {
      return signal.name;
    }
  }
  for (const Signal& signal : kFaults) {
    if (signal.number == number) {
      return signal.name;
    }
  }
  return "a signal";
}

[[noreturn]] void end(Sentence& sentence, int exit_code) {
  if (ending.test_and_set()) {  // several threads may touch the same page at once
    while (true) {
      ::pause();
    }
  }
  remove_temporaries();
  sentence.write();
  ::_exit(exit_code);
}

[[noreturn]] void end_by(int number) {
  Sentence sentence;
  end(sentence << "inlay: stopped by " << name_of(number), 128 + number);
}

extern "C" void on_ending_signal(int number) {
  const u64 bit = u64{1} << number;
  const bool again = (seen.fetch_or(bit) & bit) != 0;
  // Others repeat by themselves (signals.h): only these two are pressed by somebody in a hurry.
  const bool insists = again && (number == SIGINT || number == SIGTERM);
  if (!polite || insists || number == SIGQUIT || number == SIGALRM) {
    end_by(number);
  }
  // The first that came names the exit code, whatever follows.
  int none = 0;
  first_signal.compare_exchange_strong(none, number);
}

extern "C" void on_fault(int number, siginfo_t* info, void* /*context*/) {
  // Codes from 0 down are those of signals that a process sent; abort() sends one to its thread.
  if (info->si_code <= 0 && !(number == SIGABRT && info->si_code == SI_TKILL)) {
    end_by(number);
  }
  Sentence sentence;
  const char* path = number == SIGBUS ? mapped_path_at(info->si_addr) : nullptr;
  if (path != nullptr) {
    end(sentence << "inlay: " << path << kUnreadablePage, static_cast<int>(ExitCode::kData));
  }
  end(sentence << "inlay: internal error: " << name_of(number)
               << "; this is a bug in inlay, please report it",
      static_cast<int>(ExitCode::kInternal));
}

void handle_faults() {
  // A stack of its own, for the fault may be that there is no more of the thread's.
  static std::array<std::byte, 64 << 10> memory;
  stack_t stack{};
  stack.ss_sp = memory.data();
  stack.ss_size = memory.size();
  ::sigaltstack(&stack, nullptr);
  struct sigaction action {};
  action.sa_sigaction = on_fault;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  for (const Signal& signal : kFaults) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    if (signal.number != SIGBUS) {
      continue;  // the sanitizer's report says more
    }
#endif
    ::sigaction(signal.number, &action, nullptr);
  }
}

bool is_ignored(int number) {
  struct sigaction now {};
  return ::sigaction(number, nullptr, &now) == 0 && now.sa_handler == SIG_IGN;
}

}  // namespace

void handle_signals() {
  handle_faults();
  ::signal(SIGPIPE, SIG_IGN);
  ::signal(SIGXFSZ, SIG_IGN);
  struct sigaction action {};
  action.sa_handler = on_ending_signal;
  action.sa_flags = SA_RESTART;
  for (const Signal& signal : kEnding) {
    // A script's background jobs ignore SIGINT by default; whoever sends it means it.
    const bool may_stay = signal.number != SIGINT && signal.number != SIGTERM;
    if (!(may_stay && is_ignored(signal.number))) {
      ::sigaction(signal.number, &action, nullptr);
    }
  }
}

StopSignals::StopSignals() {
  first_signal = 0;
  seen = 0;
  polite = true;
}

StopSignals::~StopSignals() {
  polite = false;
}

int StopSignals::received() {
  return first_signal;
}

std::string_view StopSignals::name() {
  return name_of(first_signal);
}

}  // namespace inlay
