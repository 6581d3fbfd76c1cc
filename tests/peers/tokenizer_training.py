#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Tokenizers that inlay trains beside those of the tokenizers package's BpeTrainer, on the same text.

    tokenizer_training.py [--inlay COMMAND] [--vocab-size N]… TEXT…

For every text, size, way of splitting and least frequency: vocabulary and merges must be equal, and
the folder, loaded by Transformers and by inlay, must give the same ids. One line each; the exit code is 1 where any
differs."""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoTokenizer

PATTERNS = {
    "llama3": r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+",
    "qwen2": r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+",
}
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
# What texts hold that training texts may not.
PROBES = [
    "Hello, world!",
    "  two blanks\n\n\tand a tab 1234567 ",
    "it's WE'LL they'Re",
    "<|im_start|>user\nhé 世界 🙂<|im_end|>",
    "",
]


def reference(text: pathlib.Path, size: int, pattern: str, least: int) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=pattern == "gpt2")
    tokenizer.pre_tokenizer = (
        byte_level
        if pattern == "gpt2"
        else pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(PATTERNS[pattern]), "isolated"), byte_level])
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        min_frequency=least,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train([str(text)], trainer)
    return tokenizer


def differences(inlay: str, text: pathlib.Path, size: int, pattern: str, least: int, bos: bool) -> list[str]:
    expected = json.loads(reference(text, size, pattern, least).to_str())["model"]
    with tempfile.TemporaryDirectory() as scratch:
        out = f"{scratch}/tokenizer"
        command = [inlay, "tokenizer", "train", str(text), "--vocab-size", str(size), "--out", out]
        command += ["--pattern", pattern, "--min-frequency", str(least)]
        for token in SPECIAL:
            command += ["--special-token", token]
        if bos:
            command += ["--bos-token", SPECIAL[1]]
        subprocess.run(command, check=True, capture_output=True)
        found = json.loads(pathlib.Path(out, "tokenizer.json").read_text())["model"]
        wrong = [key for key in ("vocab", "merges") if found[key] != expected[key]]
        theirs = AutoTokenizer.from_pretrained(out)
        if theirs.eos_token != SPECIAL[0]:
            wrong.append("eos_token")
        if bos and theirs.encode("a")[0] != 1:
            wrong.append("bos_token")
        probes = PROBES + [text.read_text(errors="replace")[:20000]]
        probe_file = pathlib.Path(scratch, "probes.json")
        probe_file.write_text(json.dumps(probes))
        command = [inlay, "tokenize", "--tokenizer", out, "--json", "--file", str(probe_file)]
        ours = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
        for probe, row in zip(probes, ours, strict=True):
            ids = theirs.encode(probe)
            if ids != row["ids"]:
                wrong.append(f"ids of {probe[:30]!r}")
            if theirs.decode(ids, clean_up_tokenization_spaces=False) != row["decoded"]:
                wrong.append(f"text of {probe[:30]!r}")
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("texts", nargs="+", type=pathlib.Path, metavar="TEXT")
    parser.add_argument("--inlay", default="build/release/apps/inlay")
    parser.add_argument("--vocab-size", type=int, action="append")
    arguments = parser.parse_args()
    failed = False
    for text in arguments.texts:
        for size in arguments.vocab_size or [300, 2000, 16000]:
            for pattern in ("gpt2", *PATTERNS):
                for least in (0, 2, 10):
                    wrong = differences(arguments.inlay, text, size, pattern, least, bos=least == 2)
                    failed = failed or bool(wrong)
                    print(text.name, size, pattern, least, ", ".join(wrong) or "equal", flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
