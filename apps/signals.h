// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

namespace inlay {

/// From here on the signals that would end the process without a word end it with a sentence on
/// stderr, no temporary file left behind, and an exit code:
///
///   SIGBUS in a mapped file      4, naming the file
///   other faults of the program  1, as for every error of our own
///   HUP, INT, QUIT, TERM, ALRM, USR1, USR2, XCPU   128 and the signal's number
///
/// SIGPIPE and SIGXFSZ are ignored: what is written fails instead, and the one who writes it knows
/// what that means. SIGHUP and others stay ignored where they were when the program started
/// (nohup), but for SIGINT and SIGTERM. Called on the thread that runs the command.
void handle_signals();

/// While this lives, SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2 and SIGXCPU ask for a polite stop; a
/// second SIGINT or SIGTERM ends the program at once. A terminal that closes may send SIGHUP twice,
/// and a limit on processor time sends SIGXCPU every second.
class StopSignals {
 public:
  StopSignals();
  ~StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;
  /// The first signal that came, or 0.
  static int received();
  /// Its name, "SIGTERM".
  static std::string_view name();
};

}  // namespace inlay
