#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# From a fresh Debian or Ubuntu machine to a fine-tuned language model: installs what is missing, builds inlay, fetches
# SmolLM2-135M-Instruct, teaches it with LoRA and with QLoRA to turn order sentences into JSON records, and shows what
# it answers before and after. About ten minutes on two cores.
set -euo pipefail
cd "$(dirname "$0")"

say() { printf '\n== %s\n' "$*"; }

say "Packages and build"
.ci/install build model
cmake --preset release -DBUILD_TESTING=OFF >/dev/null
cmake --build build/release --target inlay
inlay=build/release/apps/inlay

say "Model"
model=$(.ci/fetch-model)
ls -lh "$model"

test=data/samples/test.jsonl
prompt="Order: Silver Trading shipped 14 warm lights to Sarah Keller, who had ordered them on 3 May 2024 at \$12.50 each.
Record:"

# Exact match on the 100 rows of the test split: nothing in them, no name, thing or seller, occurs in training.
score() { "$inlay" eval --data "$test" --metric exact_match "$@"; }

say "Before"
score --model "$model"
"$inlay" generate --model "$model" --prompt "$prompt" --max-new-tokens 48

say "LoRA: configs/quickstart-lora.json"
"$inlay" train configs/quickstart-lora.json --overwrite
score --model "$model" --dtype bf16 --adapter runs/quickstart-lora/adapter

say "QLoRA: configs/quickstart-qlora.json"
"$inlay" train configs/quickstart-qlora.json --overwrite
score --model "$model" --adapter runs/quickstart-qlora/adapter

say "After"
"$inlay" generate --model "$model" --dtype bf16 --adapter runs/quickstart-lora/adapter --prompt "$prompt"
echo
echo "The adapters are in runs/quickstart-lora/adapter and runs/quickstart-qlora/adapter; PEFT loads them as they are."
