// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>

namespace inlay {

/// One command of `inlay`. `run` gets the words after the command's name and returns an exit code;
/// errors are thrown.
struct Command {
  const char* name;
  const char* help;
  int (*run)(std::span<const std::string> arguments);
};

/// All commands, in the order the help shows them (commands/registry.cc).
std::span<const Command> commands();

int run_train(std::span<const std::string> arguments);
int run_plan(std::span<const std::string> arguments);
int run_eval(std::span<const std::string> arguments);
int run_generate(std::span<const std::string> arguments);
int run_chat(std::span<const std::string> arguments);
int run_merge(std::span<const std::string> arguments);
int run_inspect(std::span<const std::string> arguments);
int run_data(std::span<const std::string> arguments);
int run_tokenize(std::span<const std::string> arguments);
int run_tokenizer(std::span<const std::string> arguments);
int run_logits(std::span<const std::string> arguments);
int run_config(std::span<const std::string> arguments);
int run_doctor(std::span<const std::string> arguments);
int run_bench(std::span<const std::string> arguments);

}  // namespace inlay
