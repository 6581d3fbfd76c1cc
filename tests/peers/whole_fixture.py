#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes a whole fixture, without a run of PEFT, of a small model's folder: for family_fixture.py --no-run.

    python tests/peers/whole_fixture.py MODEL_FOLDER WHOLE_FOLDER

Transformers in f32 on the CPU, with eager attention: logits and loss of two sequences, the gradient of every parameter by
its checkpoint's names, and greedy tokens.
"""

import json
import pathlib
import shutil
import sys
import tempfile

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText


def gradients(model):
    """By the names, and in the pieces, of a checkpoint: written as one."""
    for parameter in model.parameters():
        parameter.data = torch.full_like(parameter, torch.nan) if parameter.grad is None else parameter.grad
    with tempfile.TemporaryDirectory() as scratch:
        model.save_pretrained(scratch)
        written = load_file(pathlib.Path(scratch) / "model.safetensors")
    return {name: g for name, g in written.items() if not g.isnan().any()}  # none: of a part for images


def main():
    source, out = map(pathlib.Path, sys.argv[1:])
    out.mkdir(parents=True, exist_ok=True)
    for name in ("config.json", "model.safetensors"):
        shutil.copy(source / name, out)
    config = AutoConfig.from_pretrained(source)
    auto = AutoModelForImageTextToText if hasattr(config, "text_config") else AutoModelForCausalLM
    model = auto.from_pretrained(source, dtype=torch.float32, attn_implementation="eager").eval()
    draw = np.random.default_rng(7)
    ids = torch.tensor(draw.integers(3, config.get_text_config().vocab_size, size=(2, 48)))
    labels = ids.clone()
    labels[0, :9] = -100
    labels[1, 40:] = -100
    prompt = ids[0, :12].tolist()
    tokens = list(prompt)
    with torch.no_grad():
        for _ in range(24):
            tokens.append(int(model(torch.tensor([tokens]), use_cache=False).logits[0, -1].argmax()))
    result = model(ids, labels=labels, use_cache=False)
    result.loss.backward()
    forward = {"input_ids": ids, "labels": labels, "logits": result.logits.detach(), "loss": result.loss.detach().view(1)}
    save_file({name: t.contiguous() for name, t in forward.items()}, out / "golden_forward.safetensors")
    (out / "greedy.json").write_text(json.dumps({"prompt": prompt, "tokens": tokens}) + "\n")
    save_file(gradients(model), out / "golden_grads.safetensors")


if __name__ == "__main__":
    main()
