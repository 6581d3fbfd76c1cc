// SPDX-License-Identifier: Apache-2.0
#include "apps/commands.h"

namespace inlay {
namespace {

constexpr Command kCommands[] = {
    {"train", "run a training: LoRA, QLoRA, full, or from scratch", run_train},
    {"plan", "what a training would take, before any weight is read", run_plan},
    {"eval", "loss or exact match of a model on a dataset", run_eval},
    {"generate", "continue a prompt", run_generate},
    {"chat", "talk with a model", run_chat},
    {"merge", "fold an adapter into its model, and prove it", run_merge},
    {"inspect", "what is in a model, adapter, safetensors or GGUF file, or run", run_inspect},
    {"data", "show a dataset as the model will see it", run_data},
    {"tokenize", "token ids and pieces of a text", run_tokenize},
    {"tokenizer", "train a tokenizer on one's own text", run_tokenizer},
    {"logits", "raw logits for given token ids", run_logits},
    {"config", "make, check and show run configs", run_config},
    {"bench", "speed and memory, held against the peak of this machine", run_bench},
    {"doctor", "what this machine offers, and what \"auto\" makes of it", run_doctor},
};

}  // namespace

std::span<const Command> commands() {
  return kCommands;
}

}  // namespace inlay
