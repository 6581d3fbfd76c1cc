// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <span>
#include <string>

/// Whether what is about to be written takes the place of what is read.
namespace inlay {

/// A file or folder that a command reads.
struct CommandInput {
  std::string what;  // "the base model"
  std::string path;
};

struct ReplacedInput {
  std::string output;  // the one of the outputs
  std::string what;
  std::string path;  // the input, or the file in it that would go
};

/// The first input that would go if all of `outputs` were replaced or removed: one that is such a
/// file or folder or is in one, or, for an input folder, one of whose files does. Files are told
/// by what they are, not by their spelling: links, hard links, "..", and names of other case lead
/// to the same. Paths where there is nothing are passed over.
std::optional<ReplacedInput> find_replaced_input(std::span<const std::string> outputs,
                                                 std::span<const CommandInput> inputs);

/// Throws ConfigError, naming both, when there is one. The end of the sentence is `advice`.
void require_inputs_stay(std::span<const std::string> outputs, std::span<const CommandInput> inputs,
                         const std::string& advice);

}  // namespace inlay
