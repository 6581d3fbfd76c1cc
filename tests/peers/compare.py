#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures inlay beside PyTorch + PEFT, bitsandbytes, TRL and llama.cpp; README.md tells how."""

import argparse
import json
import os
import platform
import sys
from pathlib import Path

import process
import table
from inlay_runner import Inlay
from shapes import CASES

# The child that is each kind's peer, and what the table calls it.
PEERS = {
    "train": {"lora": ("PEFT", "torch_train.py"), "full": ("PyTorch", "torch_train.py"),
              "qlora": ("PEFT + bitsandbytes", "torch_train.py")},
    "sample": ("TRL SFTTrainer", "trl_train.py"),
    "attention": ("PyTorch sdpa", "torch_kernels.py"),
    "gemm": ("PyTorch linear", "torch_kernels.py"),
    "generate": ("llama.cpp", "llama_generate.py"),
}
SAMPLES = Path(__file__).resolve().parents[2] / "data" / "samples" / "train.jsonl"


def peer_of(case):
    peer = PEERS[case.kind]
    return peer[case.settings["method"]] if isinstance(peer, dict) else peer


def join(total, part):
    """One measurement out of several rounds': all rates, the highest memory."""
    if total is None or "error" in part:
        return part
    if "error" in total:
        return total
    peak = max(total["peak_rss"], part["peak_rss"])
    return dict(part, wall=total["wall"] + part["wall"], cpu=total["cpu"] + part["cpu"],
                peak_rss=peak)


def attempt(work):
    try:
        return work()
    except process.ChildFailed as failure:
        return {"error": str(failure)}


def allowed_memory(case, theirs):
    """What inlay may use: a share of the peer's peak, where the case names one."""
    share = case.settings.get("memory_share")
    if share is None or theirs is None or "error" in theirs:
        return None
    return share * theirs["peak_rss"]


def measure(case, inlay, options):
    """Both sides in turn, round after round, so that both see the same weather."""
    name, script = peer_of(case)
    asked = dict(case.as_dict(), steps=options.steps)
    theirs = ours = None
    for number in range(options.rounds):
        print(f"{case.name}: round {number + 1} of {options.rounds}", file=sys.stderr, flush=True)
        if not options.no_peers:
            theirs = join(theirs, attempt(
                lambda: process.python_child(script, asked, options.threads)))
        allowed = allowed_memory(case, theirs)
        ours = join(ours, attempt(lambda: inlay.measure(case, options.steps, allowed)))
    return {"case": case.as_dict(), "inlay": ours,
            "peers": {name: theirs or {"error": "left out by --no-peers"}}}


def chosen_cases(options):
    for case in CASES:
        if options.only and not any(case.name.startswith(word) for word in options.only):
            continue
        if case.kind in ("sample", "generate"):
            if not options.gguf:
                print(f"{case.name}: left out, it needs --gguf", file=sys.stderr)
                continue
            case.settings.update(gguf=str(options.gguf.resolve()), rows=str(SAMPLES),
                                 no_repack=options.llama_no_repack)
        yield case


def machine():
    names = [line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
             if line.startswith("model name")]
    return {"processor": names[0] if names else platform.processor(),
            "system": f"{platform.system()} {platform.release()}", "load": os.getloadavg()[0]}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inlay", type=Path, required=True, help="the inlay program")
    parser.add_argument("--gguf", type=Path, help="SmolLM2-135M-Instruct.Q4_1.gguf")
    parser.add_argument("--only", nargs="+", help="only cases whose name starts with one of these words")
    parser.add_argument("--threads", type=int, default=len(process.available()),
                        help="of every contestant, each on a processor of its own (default: all)")
    parser.add_argument("--cpus", help="which processors, as in 4,7 (default: the first ones)")
    parser.add_argument("--rounds", type=int, default=3, help="child processes of each side")
    parser.add_argument("--steps", type=int, default=2, help="measured steps of a child")
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall",
                        help="cpu: processor time over threads, for a machine that is shared")
    parser.add_argument("--no-peers", action="store_true", help="inlay alone")
    parser.add_argument("--llama-no-repack", action="store_true",
                        help="llama.cpp with the file's weights as they are: slower, but its AMX "
                             "kernels end with an illegal instruction on some machines")
    parser.add_argument("--set", action="append", default=[], dest="overrides",
                        help="a key of inlay's run config, as in training.compute_dtype=f32")
    parser.add_argument("--json", action="store_true", help="every measurement, as JSON")
    options = parser.parse_args()
    if not options.cpus and not 1 <= options.threads <= len(process.available()):
        parser.error(f"--threads: expected 1 to {len(process.available())}, the processors there "
                     f"are, found {options.threads}")
    return options


def main():
    options = arguments()
    process.cpus = options.cpus
    inlay = Inlay(options.inlay.resolve(), options.threads, options.overrides)
    report = {"machine": machine(), "threads": options.threads, "clock": options.clock,
              "steps": options.rounds * options.steps}
    report["results"] = [measure(case, inlay, options) for case in chosen_cases(options)]
    print(json.dumps(report, indent=2) if options.json else table.text(report))


if __name__ == "__main__":
    main()
