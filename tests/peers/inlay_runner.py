# SPDX-License-Identifier: Apache-2.0
"""inlay's side of each case, through its own command, as anyone would type it."""

import json
import os
import random
import tempfile
from pathlib import Path

import process
from shapes import MODELS


# A plan may be a few percent off what the run then takes.
PLAN_MARGIN = 0.97


class Inlay:
    def __init__(self, binary, threads, overrides=()):
        self.binary, self.threads = binary, threads
        self.overrides = [word for item in overrides for word in ("--set", item)]
        self.version = process.run([binary, "--version"], threads)[0].strip()

    def measure(self, case, steps, allowed=None):
        """`allowed`: bytes that a training run may use; None for all there are."""
        settings = case.settings
        if case.kind in ("train", "sample"):
            make = {"train": _random_run, "sample": _sample_run}[case.kind]
            with tempfile.TemporaryDirectory() as folder:
                config = make(settings, steps + 1, Path(folder))
                return self._train(config, Path(folder), allowed)
        arguments = {"attention": _attention, "gemm": _gemm, "generate": _generate}[case.kind]
        command = [self.binary, "bench", *arguments(settings), "--steps", str(steps),
                   "--threads", str(self.threads), "--json"]
        answer = json.loads(process.run(command, self.threads)[0])
        # Its own count, from before it measured the machine, which takes half a gigabyte.
        return dict(_rates(case, answer), version=self.version,
                    peak_rss=answer["peak_rss_bytes"])

    def _train(self, config, folder, allowed):
        config["save"] = {"output_dir": str(folder / "run")}
        config["runtime"] = {"threads": self.threads, "prepack_weights": "auto"}
        if allowed is not None:
            config["runtime"]["max_memory"] = f"{int(allowed * PLAN_MARGIN / 1e6)}MB"
        file = folder / "run.json"
        file.write_text(json.dumps(config))
        metrics = folder / "run" / "metrics.jsonl"
        watch = _StepClock(metrics)
        command = [self.binary, "train", file, *self.overrides, "--json"]
        out, peak = process.run(command, self.threads, watch)
        lines = [json.loads(line) for line in metrics.read_text().splitlines()]
        steps = [line for line in lines if "loss" in line]
        return dict(wall=[line["tokens_per_second"] for line in steps[1:]],
                    cpu=watch.rates(steps, self.threads), version=self.version, peak_rss=peak,
                    tracked=json.loads(out)["peak_tracked_bytes"])


class _StepClock:
    """Notes the processor time of a run each time its log has grown."""

    def __init__(self, metrics):
        self.metrics, self.seen = metrics, {}

    def __call__(self, pid):
        try:
            steps = self.metrics.read_text().count("\n")
            fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            return  # not begun yet, or just ended
        ticks = int(fields[11]) + int(fields[12])
        self.seen.setdefault(steps, ticks / os.sysconf("SC_CLK_TCK"))

    def rates(self, steps, threads):
        out = []
        for before, after in zip(range(1, len(steps)), range(2, len(steps) + 1)):
            if before in self.seen and after in self.seen:
                tokens = steps[after - 1]["tokens"] - steps[before - 1]["tokens"]
                out.append(tokens * threads / max(self.seen[after] - self.seen[before], 1e-2))
        return out


def _peft(settings):
    return {"r": settings["rank"], "lora_alpha": 2 * settings["rank"],
            "target_modules": "all-linear"}


def _random_run(settings, steps, folder):
    chooser = random.Random(0)
    vocabulary = MODELS[settings["model"]]["vocab_size"]
    rows = folder / "rows.jsonl"
    with rows.open("w") as file:
        for _ in range(settings["batch"] * steps):
            ids = [chooser.randrange(vocabulary) for _ in range(settings["length"])]
            file.write(json.dumps({"input_ids": ids}) + "\n")
    config = {
        "model": {"config": MODELS[settings["model"]], "dtype": settings["dtype"]},
        "data": {"train": str(rows), "format": "tokens", "max_length": settings["length"],
                 "shuffle": False, "add_eos": False},
        "training": {"max_steps": steps, "per_device_train_batch_size": settings["batch"],
                     "compute_dtype": settings["compute"]},
    }
    if settings["method"] == "qlora":
        config["quantization"] = {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4",
                                  "bnb_4bit_use_double_quant": True}
    if settings["method"] != "full":
        config["peft"] = _peft(settings)
    return config


def _sample_run(settings, steps, folder):
    return {
        "model": {"model_name_or_path": settings["gguf"], "dtype": settings["dtype"]},
        "peft": _peft(settings),
        "data": {"train": settings["rows"], "max_length": 512},
        "training": {"max_steps": steps, "per_device_train_batch_size": settings["batch"],
                     "learning_rate": 2e-3, "warmup_steps": 5, "compute_dtype": settings["dtype"]},
    }


def _attention(s):
    return ["attention", "--batch", str(s["batch"]), "--length", str(s["length"]), "--heads",
            str(s["heads"]), "--kv-heads", str(s["kv_heads"]), "--head-dim", str(s["head_dim"]),
            "--compute-dtype", s["dtype"]]


def _gemm(s):
    return ["gemm", "--rows", str(s["rows"]), "--inner", str(s["inner"]), "--columns",
            str(s["columns"]), "--compute-dtype", s["dtype"], "--format", s["dtype"],
            "--values", s["dtype"]]


def _generate(s):
    length, new = (s["tokens"], 2) if s["phase"] == "prompt" else (1, s["tokens"])
    return ["generate", "--model", s["gguf"], "--length", str(length), "--new-tokens", str(new)]


def _rates(case, answer):
    """The rates in the answer of `inlay bench`, in the unit of the case."""
    phase = {"attention": "both", "gemm": "product"}.get(case.kind) or case.settings["phase"]
    timing = answer["cases"][0][phase]
    return dict(wall=timing["rates"], cpu=timing["cpu_rates"])
