// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>
#include <vector>

#include "finetune/adapters/method.h"

namespace inlay {

/// The adapter methods there are. To add one: its file, and a line here.
std::span<const AdapterMethod> adapter_methods();

/// The method that a config means. Its peft_type must be one of these.
const AdapterMethod& method_of(const PeftConfig& config);

/// What peft_type may be, in the order of the table.
std::vector<std::string> peft_types();

}  // namespace inlay
