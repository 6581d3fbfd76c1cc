# SPDX-License-Identifier: Apache-2.0
"""The README's table of families, out of what peft_both_ways.py and gguf_of_family.py found (their --json files).

    python tests/peers/family_table.py --adapters adapters.json --gguf gguf.json --readme README.md

Writes the table between the two `families` marks of the README. A family has a line when all its folders are right; what
is wrong is said, and ends with exit code 1.
"""

import argparse
import json
import pathlib
import sys

from family_variants import NOT_IN_GGUF

# model_type: what the family is called, and models of it that people tune.
NAMES = {
    "gpt2": ("GPT-2", "124M to 1.5B"),
    "llama": ("Llama", "SmolLM2, TinyLlama, Llama 2, 3, 3.1, 3.2"),
    "qwen2": ("Qwen2", "Qwen2, Qwen2.5, DeepSeek-R1-Distill-Qwen"),
    "qwen3": ("Qwen3", "0.6B to 32B"),
    "qwen3_moe": ("Qwen3-MoE", "30B-A3B"),
    "mistral": ("Mistral", "7B, Nemo"),
    "ministral3": ("Ministral 3", "3B to 14B"),
    "mistral3": ("Mistral 3, the text part of", "Small 3.1, 3.2; Ministral 3"),
    "smollm3": ("SmolLM3", "3B"),
    "phi3": ("Phi-3", "Phi-3, 3.5, 4-mini"),
    "granite": ("Granite", "3.x"),
    "granitemoe": ("Granite-MoE", "3.x A400M, A800M"),
    "granitemoeshared": ("Granite-MoE, shared block", "7B-A1B"),
    "granitemoehybrid": ("Granite 4", "without Mamba layers"),
    "hunyuan_v1_dense": ("Hunyuan", "0.5B to 7B"),
    "ernie4_5": ("ERNIE 4.5", "0.3B"),
    "olmo2": ("OLMo 2", "1B to 32B"),
    "olmo3": ("OLMo 3", "7B, 32B"),
    "olmoe": ("OLMoE", "1B-7B"),
    "exaone4": ("EXAONE 4", "1.2B, 32B"),
    "gemma2": ("Gemma 2", "2B to 27B"),
    "gemma3_text": ("Gemma 3", "270M, 1B"),
    "gemma3": ("Gemma 3, the text part of", "4B to 27B"),
    "gemma4_text": ("Gemma 4", "E2B, E4B, 26B-A4B, 31B"),
    "gemma4": ("Gemma 4, the text part of", "E2B, E4B, 26B-A4B, 31B"),
    "glm4": ("GLM-4", "9B, 32B"),
    "cohere2": ("Cohere 2", "Command R7B"),
    "starcoder2": ("StarCoder 2", "3B to 15B"),
    "stablelm": ("StableLM", "1.6B, 3B"),
    "nemotron": ("Nemotron", "Minitron 4B, 8B"),
    "gpt_neox": ("GPT-NeoX", "Pythia"),
    "gpt_oss": ("gpt-oss", "20B, 120B"),
    "nanochat": ("nanochat", "d20, d32"),
}
BEGIN, END = "<!-- families: begin -->", "<!-- families: end -->"


def lines_of(adapters, files):
    wrong = []
    rows = {}
    for name, found in adapters.items():
        if found["wrong"]:
            wrong.append(f"{name}: {'; '.join(found['wrong'])}")
        row = rows.setdefault(found["model_type"], {"folders": set(), "differences": [], "gguf": []})
        row["folders"].add(name.removesuffix(" experts"))
        row["differences"].append(found["differences"])
    for name, found in files.items():
        if found["model_type"] in rows and found["difference"] is not None and name not in NOT_IN_GGUF:
            if found["difference"] <= found["limit"]:
                rows[found["model_type"]]["gguf"].append((found["architecture"], found["difference"]))
            else:
                wrong.append(f"{name}: as GGUF {found['difference']:.1e}")
    table = [
        "| family | `model_type` | among them | tried | model | PEFT's adapter | merged | GGUF |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for kind in sorted(rows, key=lambda k: NAMES.get(k, (k, ""))[0].lower()):
        name, sizes = NAMES.get(kind, (kind, ""))
        differences = [max(column) for column in zip(*rows[kind]["differences"])]
        model, theirs, ours, merged = (f"{d:.0e}" for d in differences)
        adapter = f"{max(differences[1:3]):.0e}"
        made = rows[kind]["gguf"]
        names = ", ".join(sorted({f"`{a}`" for a, _ in made}))
        worst = max((d for _, d in made), default=0.0)
        gguf = f"{names} {f'{worst:.0e}' if worst else 'equal'}" if made else "not tried"
        table.append(f"| {name} | `{kind}` | {sizes} | {len(rows[kind]['folders'])} | {model} | {adapter} | {merged} | {gguf} |")
    return table, wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--adapters", required=True, type=pathlib.Path)
    parser.add_argument("--gguf", required=True, type=pathlib.Path)
    parser.add_argument("--readme", required=True, type=pathlib.Path)
    options = parser.parse_args()
    table, wrong = lines_of(json.loads(options.adapters.read_text()), json.loads(options.gguf.read_text()))
    text = options.readme.read_text()
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    options.readme.write_text(before + BEGIN + "\n" + "\n".join(table) + "\n" + END + after)
    for problem in wrong:
        print(problem, file=sys.stderr)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
