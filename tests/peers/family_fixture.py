#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes a small fixture of tests/golden/models/families out of a whole one.

A whole fixture is a tiny Hugging Face model with golden_forward (two sequences, labels, logits, loss), golden_grads, and
a run of PEFT (lora_init, lora_data, lora_curve.json, lora_final). The small one keeps the model, one row of logits in
five, of each gradient its norm and seven sums with signs, and of the run its start, its batches and its curve.

    python tests/peers/family_fixture.py WHOLE_FOLDER SMALL_FOLDER [--greedy greedy.json] [--no-run]
"""

import argparse
import json
import pathlib
import shutil

import numpy as np
from safetensors.numpy import load_file, save_file

STRIDE = 5
ODD = 0x9E3779B1


def digest(x):
    """The norm of x and its sums with seven patterns of signs (tests/nn/family_fixtures_test.cc)."""
    x = x.astype(np.float64).reshape(-1)
    i = np.arange(1, x.size + 1, dtype=np.uint64)
    sums = [float(np.sqrt((x * x).sum()))]
    for j in range(1, 8):
        hashes = (i * np.uint64(2 * j + 1) * np.uint64(ODD)) & np.uint64(0xFFFFFFFF)
        sums.append(float(np.where(hashes >> np.uint64(31), -x, x).sum()))
    return [float(f"{s:.9g}") for s in sums]


def small_forward(source, target):
    tensors = load_file(source)
    logits = tensors["logits"].reshape(-1, tensors["logits"].shape[-1])
    rows = np.arange(0, logits.shape[0], STRIDE, dtype=np.int64)
    tensors["logits"] = np.ascontiguousarray(logits[rows])
    tensors["logit_rows"] = rows.reshape(-1, 1)
    save_file(tensors, target)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("whole", type=pathlib.Path)
    parser.add_argument("small", type=pathlib.Path)
    parser.add_argument("--greedy", type=pathlib.Path, help='{"prompt": [...], "tokens": [...]} of the model')
    parser.add_argument("--no-run", action="store_true", help="leave the run of PEFT out")
    options = parser.parse_args()
    options.small.mkdir(parents=True, exist_ok=True)
    shutil.copy(options.whole / "config.json", options.small)
    shutil.copy(options.whole / "model.safetensors", options.small)
    for forward in options.whole.glob("golden_forward*.safetensors"):
        small_forward(forward, options.small / forward.name)
    grads = load_file(options.whole / "golden_grads.safetensors")
    lines = [f" {json.dumps(name)}: {json.dumps(digest(grads[name]))}" for name in sorted(grads)]
    (options.small / "gradients.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")
    if options.greedy:
        shutil.copy(options.greedy, options.small / "greedy.json")
    if not options.no_run:
        shutil.copytree(options.whole / "lora_init", options.small / "lora_init", dirs_exist_ok=True)
        shutil.copy(options.whole / "lora_curve.json", options.small)
        data = load_file(options.whole / "lora_data.safetensors")
        save_file({k: v for k, v in data.items() if not k.startswith("final_")}, options.small / "lora_data.safetensors")


if __name__ == "__main__":
    main()
