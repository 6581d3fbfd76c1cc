# SPDX-License-Identifier: Apache-2.0
"""What `inlay plan` says a run will take beside what the run takes: small models of every family, and shapes of the bench.

    python tests/peers/plan_table.py --inlay build/release/apps/inlay [--shape qwen3-0.6b ...] FOLDER...

A folder is trained by LoRA, by QLoRA and whole, in f32 and in bf16, a shape (random weights, as `inlay bench train
--shape` has it) by LoRA or QLoRA in bf16. A line: the tracked peak, planned and measured, and the resident one. A tracked
peak more than --limit percent from the plan makes the exit code 1; for shapes the resident one counts as well, which of a
tiny model is the program itself.
"""

import argparse
import json
import pathlib
import random
import re
import subprocess
import sys
import tempfile

SHAPES = pathlib.Path(__file__).parent.parent.parent / "finetune/bench/shapes.cc"
UNITS = {"B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9}
LORA = {"r": 8, "lora_alpha": 16, "target_modules": "all-linear"}
KINDS = {
    "LoRA f32": {"peft": LORA, "training": {"compute_dtype": "f32"}},
    "LoRA bf16": {"peft": LORA, "training": {"compute_dtype": "bf16"}},
    "QLoRA bf16": {"peft": LORA, "training": {"compute_dtype": "bf16"}, "quantization": {"load_in_4bit": True}},
    "full f32": {"training": {"compute_dtype": "f32"}},
}


def shapes():
    return {name: json.loads(text) for name, text in re.findall(r'\{"([^"]+)",\s+R"\((.*?)\)"\}', SHAPES.read_text(), re.S)}


def run(command):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(done.stderr.strip() or done.stdout.strip())
    return done.stdout


def config_of(model, kind, vocabulary, batch, length, work):
    """A run of three steps over random rows, of which some are shorter."""
    draw = random.Random(5)
    rows = [[draw.randrange(3, vocabulary) for _ in range(length - 3 * (i % 4))] for i in range(3 * batch)]
    data = work / "rows.jsonl"
    data.write_text("".join(json.dumps({"input_ids": row}) + "\n" for row in rows))
    settings = KINDS[kind]
    config = {
        "model": model,
        "data": {"train": str(data), "format": "tokens", "max_length": length},
        **settings,
        "training": {**settings["training"], "max_steps": 3, "per_device_train_batch_size": batch},
        "save": {"output_dir": str(work / "run")},
    }
    file = work / "run.json"
    file.write_text(json.dumps(config))
    return file


def bytes_of(number, unit):
    return float(number) * UNITS[unit]


def measure(inlay, model, kind, vocabulary, batch, length):
    with tempfile.TemporaryDirectory() as scratch:
        file = config_of(model, kind, vocabulary, batch, length, pathlib.Path(scratch))
        plan = json.loads(run([inlay, "plan", "--json", file]))
        done = run([inlay, "train", file])
    tracked = re.search(r"peak memory: ([\d.]+) (\w+) tracked", done)
    resident = re.search(r"([\d.]+) (\w+) resident$", done, re.M)
    return [plan["peak_tracked_bytes"], bytes_of(*tracked.groups()), plan["peak_rss_bytes"], bytes_of(*resident.groups())]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="*", type=pathlib.Path)
    parser.add_argument("--inlay", required=True)
    parser.add_argument("--shape", action="append", default=[], help="NAME or NAME:KIND, as in smollm3-3b:QLoRA bf16")
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--length", type=int, default=256, help="tokens of a row of a shape")
    parser.add_argument("--limit", type=float, default=5.0)
    options = parser.parse_args()
    cases = []
    for folder in options.folders:
        settings = json.loads((folder / "config.json").read_text())
        vocabulary = settings.get("text_config", settings)["vocab_size"]
        cases += [(folder.name, {"model_name_or_path": str(folder)}, kind, vocabulary, 40, False) for kind in KINDS]
    for shape in options.shape:
        name, _, kind = shape.partition(":")
        config = shapes()[name]
        model = {"config": config, "dtype": "bf16"}
        cases.append((name, model, kind or "LoRA bf16", config["vocab_size"], options.length, True))
    failed = 0
    print(f"{'':28} {'':10}  tracked: planned   taken      %  resident: planned   taken      %")
    for name, model, kind, vocabulary, length, large in cases:
        planned, taken, planned_rss, rss = measure(options.inlay, model, kind, vocabulary, options.batch, length)
        off, off_rss = 100 * (planned / taken - 1), 100 * (planned_rss / rss - 1)
        wrong = abs(off) > options.limit or (large and abs(off_rss) > options.limit)
        failed += wrong
        mark = "  TOO FAR" if wrong else ""
        print(
            f"{name:28} {kind:10} {planned / 1e6:15.3f} {taken / 1e6:9.3f} {off:+6.2f}"
            f" {planned_rss / 1e6:17.2f} {rss / 1e6:9.2f} {off_rss:+6.2f}{mark}",
            flush=True,
        )
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
