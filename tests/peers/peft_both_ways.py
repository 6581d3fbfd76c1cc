# SPDX-License-Identifier: Apache-2.0
"""Adapters from PEFT to inlay and back, over small models of any family, with Transformers as the judge.

    python tests/peers/peft_both_ways.py --inlay build/release/apps/inlay FOLDER...

For each folder: an adapter of random factors on every linear layer made by PEFT, used by inlay; and one that inlay
trained for two steps, loaded by PEFT. A line says how many linear layers Transformers' model has and how many of them
each adapter names, and the largest differences of logits: of the model alone, of PEFT's adapter, of inlay's, and of the
model that inlay merged. A model with experts has a second line, of adapters on their parameters and their routers' as
well. A layer left out, a key or shape that is not PEFT's, or a difference over --limit makes the exit code 1.
"""

import argparse
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import warnings

import numpy as np
from safetensors.numpy import load_file


def run(command):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(done.stderr.strip() or done.stdout.strip())
    return done.stdout


def inlay_logits(inlay, work, ids, *arguments):
    rows = work / "ids.json"
    rows.write_text(json.dumps({"input_ids": ids}))
    out = work / "logits.safetensors"
    out.unlink(missing_ok=True)
    run([inlay, "logits", "--ids", rows, "--out", out, *arguments])
    return load_file(out)["logits"]


def load(folder):
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText

    config = AutoConfig.from_pretrained(folder)
    kind = AutoModelForImageTextToText if hasattr(config, "text_config") else AutoModelForCausalLM
    return kind.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()


def torch_logits(model, ids):
    import torch

    with torch.no_grad():
        return model(input_ids=torch.tensor(ids), use_cache=False).logits.numpy()


def linear_layers(model):
    """The text part's linear layers but its head, by their paths."""
    import torch
    from peft.utils import transformers_weight_conversion as peft_conversion
    from transformers.pytorch_utils import Conv1D

    head = model.get_output_embeddings()
    # In a model that has both, PEFT takes a dense layer's "down_proj" for the experts', if it knows these from before.
    pattern = peft_conversion._MODEL_TO_CONVERSION_PATTERN.get(model.config.model_type)
    mixed = pattern in peft_conversion._MOE_TARGET_MODULE_MAPPING and any(
        name.endswith(".experts") for name, _ in model.named_modules()
    )
    return {
        name
        for name, module in model.named_modules()
        if not (mixed and name.endswith(("gate_proj", "up_proj", "down_proj")))
        and isinstance(module, (torch.nn.Linear, Conv1D))
        and module is not head
        and not re.search(r"vision|visual|audio|projector|embed_vision|embed_audio", name)
    }


def adapted_layers(adapter):
    names = load_file(adapter / "adapter_model.safetensors")
    paths = {n.removeprefix("base_model.model.").split(".lora_")[0] for n in names if ".lora_" in n}
    return {path.replace(".base_layer", "") for path in paths}


def ends_experts(path):
    return path.endswith((".experts", ".gate", ".router"))


def expert_parameters(model):
    """What is no linear layer in the modules that have experts: their matrices and their routers', by the paths' ends."""
    import torch

    names = set()
    for path, module in model.named_modules():
        if path.endswith(".experts"):
            names |= {f"experts.{name}" for name, p in module.named_parameters() if p.ndim == 3}
        elif path.endswith((".gate", ".router")) and not isinstance(module, torch.nn.Linear):
            own = dict(module.named_parameters(recurse=False))
            names |= {f"{path.rsplit('.', 1)[1]}.{name}" for name, p in own.items() if p.ndim == 2}
    return sorted(names)


def shapes_of(adapter):
    return {name: tensor.shape for name, tensor in load_file(adapter / "adapter_model.safetensors").items()}


def adapter_of_peft(folder, layers, parameters, place):
    import torch
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(
        r=4,
        lora_alpha=8,
        target_modules=sorted(layers),
        target_parameters=parameters or None,
        task_type="CAUSAL_LM",
    )
    model = get_peft_model(load(folder), config).eval()
    draw = torch.Generator().manual_seed(3)
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            parameter.data = 0.1 * torch.randn(parameter.shape, generator=draw)
    model.save_pretrained(place)
    return model


def train(inlay, folder, ids, parameters, work):
    data = work / "rows.jsonl"
    data.write_text("".join(json.dumps({"input_ids": row}) + "\n" for row in ids))
    config = work / "run.json"
    config.write_text(
        json.dumps(
            {
                "model": {"model_name_or_path": str(folder)},
                "peft": {
                    "r": 4,
                    "lora_alpha": 8,
                    "target_modules": "all-linear",
                    **({"target_parameters": parameters} if parameters else {}),
                },
                "data": {"train": str(data), "format": "tokens", "shuffle": False},
                "training": {
                    "max_steps": 2,
                    "per_device_train_batch_size": 2,
                    "learning_rate": 0.02,
                    "lr_scheduler_type": "constant",
                    "compute_dtype": "f32",
                },
                "save": {"output_dir": str(work / "run")},
            }
        )
    )
    run([inlay, "train", config])
    return work / "run" / "adapter"


def load_in_peft(folder, adapter):
    from peft import PeftModel

    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        model = PeftModel.from_pretrained(load(folder), adapter).eval()
    keys = [str(w.message) for w in said if "missing" in str(w.message).lower() or "unexpected" in str(w.message).lower()]
    if keys:
        raise RuntimeError(keys[0])
    return model


def both_ways(folder, inlay, parameters, work):
    """The numbers of a line, and what is wrong with them."""
    model = load(folder)
    layers = linear_layers(model)
    text = json.loads((folder / "config.json").read_text())
    vocabulary = text.get("text_config", text)["vocab_size"]
    ids = np.random.default_rng(11).integers(0, vocabulary, size=(2, 40)).tolist()
    away = lambda a, b: float(np.abs(a - b).max())
    plain = away(inlay_logits(inlay, work, ids, "--model", folder), torch_logits(model, ids))
    theirs = adapter_of_peft(folder, layers, parameters, work / "theirs")
    there = away(
        inlay_logits(inlay, work, ids, "--model", folder, "--adapter", work / "theirs"), torch_logits(theirs, ids)
    )
    ours = train(inlay, folder, ids, parameters, work)
    if shapes_of(ours) != shapes_of(work / "theirs"):
        other = set(shapes_of(ours).items()) ^ set(shapes_of(work / "theirs").items())
        raise RuntimeError(f"tensors of one adapter alone: {sorted(other)[:4]}")
    reloaded = load_in_peft(folder, ours)
    expected = torch_logits(reloaded, ids)
    back = away(inlay_logits(inlay, work, ids, "--model", folder, "--adapter", ours), expected)
    run([inlay, "merge", "--model", folder, "--adapter", ours, "--out", work / "merged"])
    merged = away(torch_logits(load(work / "merged"), ids), expected)
    if not away(expected, torch_logits(model, ids)) > 1e-2:
        raise RuntimeError("the trained adapter does nothing")
    return {
        "layers": len(layers),
        "left out": sorted(layers - adapted_layers(ours)),
        "beyond": sorted(p for p in adapted_layers(ours) - layers if not (parameters and ends_experts(p))),
        "model_type": text["model_type"],
        "differences": [plain, there, back, merged],
    }


def kinds_of_targets(folder):
    """Linear layers alone, and with the parameters of experts where there are some."""
    parameters = expert_parameters(load(folder))
    return [[], parameters] if parameters else [[]]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="+", type=pathlib.Path)
    parser.add_argument("--inlay", required=True)
    parser.add_argument("--limit", type=float, default=1e-3)
    parser.add_argument("--json", type=pathlib.Path, help="write what was found, for family_table.py")
    options = parser.parse_args()
    failed = 0
    results = {}
    print(f"{'':36} layers   model   PEFT's  inlay's  merged")
    lines = [(folder, parameters) for folder in options.folders for parameters in kinds_of_targets(folder)]
    for folder, parameters in lines:
        name = folder.name + (" experts" if parameters else "")
        with tempfile.TemporaryDirectory() as scratch:
            try:
                found = both_ways(folder, options.inlay, parameters, pathlib.Path(scratch))
            except Exception as problem:
                failed += 1
                print(f"{name:36} FAILED: {type(problem).__name__}: {str(problem)[:300]}", flush=True)
                continue
        wrong = [f"left out: {found['left out'][:3]}"] if found["left out"] else []
        wrong += [f"beyond: {found['beyond'][:3]}"] if found["beyond"] else []
        wrong += ["TOO FAR"] if not max(found["differences"]) <= options.limit else []
        failed += bool(wrong)
        results[name] = {**found, "wrong": wrong}
        numbers = "  ".join(f"{d:.1e}" for d in found["differences"])
        print(f"{name:36} {found['layers']:6}  {numbers}  {'; '.join(wrong)}", flush=True)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
