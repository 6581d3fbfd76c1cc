// SPDX-License-Identifier: Apache-2.0
#include "finetune/adapters/registry.h"

#include <algorithm>

#include "core/error.h"
#include "finetune/adapters/dora.h"
#include "finetune/adapters/lora.h"

namespace inlay {

std::span<const AdapterMethod> adapter_methods() {
  static const std::vector<AdapterMethod> methods = {
      lora_method(),
      dora_method(),
  };
  return methods;
}

const AdapterMethod& method_of(const PeftConfig& config) {
  const AdapterMethod* plain = nullptr;
  for (const AdapterMethod& method : adapter_methods()) {
    if (method.peft_type == config.peft_type) {
      if (method.switched_on == nullptr) {
        plain = &method;
      } else if (method.switched_on(config)) {
        return method;
      }
    }
  }
  INLAY_ASSERT(plain != nullptr);
  return *plain;
}

std::vector<std::string> peft_types() {
  std::vector<std::string> types;
  for (const AdapterMethod& method : adapter_methods()) {
    if (std::ranges::find(types, method.peft_type) == types.end()) {
      types.emplace_back(method.peft_type);
    }
  }
  return types;
}

}  // namespace inlay
