#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The vocabularies that llama.cpp is tested with (models/ggml-vocab-*.gguf in its source tree) in inlay.

    gguf_vocabularies.py [--inlay COMMAND] FOLDER

Each file has texts beside it (.inp) and the ids they become (.out). One line each; the exit code is 1 where any
differs. Files without texts, and kinds of vocabularies that inlay does not read, are named. Qwen's models were trained on
text in NFC; llama.cpp leaves that to the user, so for texts that are not in that form the two differ, which is not
held against either."""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile
import unicodedata

SEPARATOR = "\n__ggml_vocab_test__\n"


def cases(vocabulary: pathlib.Path) -> list[tuple[str, list[int]]]:
    texts = pathlib.Path(f"{vocabulary}.inp").read_bytes().decode("utf-8").split(SEPARATOR)
    lines = pathlib.Path(f"{vocabulary}.out").read_text().split("\n")
    # The last separator is followed by nothing, and so is the last line.
    rows = [[int(number) for number in line.split()] for line in lines[: len(texts)]]
    return [pair for pair in zip(texts, rows, strict=True) if pair[0] or pair[1]]


def encoded(inlay: str, vocabulary: pathlib.Path, texts: list[str]) -> list[list[int]] | str:
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(texts, file)
        file.flush()
        command = [inlay, "tokenize", "--tokenizer", str(vocabulary), "--no-special", "--json", "--file", file.name]
        done = subprocess.run(command, capture_output=True, text=True)
    return [row["ids"] for row in json.loads(done.stdout)] if done.returncode == 0 else done.stderr.strip()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--inlay", default="build/release/apps/inlay")
    arguments = parser.parse_args()
    failed = False
    for vocabulary in sorted(arguments.folder.glob("ggml-vocab-*.gguf")):
        name = vocabulary.stem.removeprefix("ggml-vocab-")
        if not pathlib.Path(f"{vocabulary}.inp").exists():
            print(f"{name}: no texts")
            continue
        expected = cases(vocabulary)
        found = encoded(arguments.inlay, vocabulary, [text for text, _ in expected])
        if isinstance(found, str):
            print(f"{name}: {found}")
            continue
        wrong = [(text, ids, ours) for (text, ids), ours in zip(expected, found, strict=True) if ids != ours]
        composed = [row for row in wrong if name.startswith("qwen") and not unicodedata.is_normalized("NFC", row[0])]
        equal = len(expected) - len(wrong)
        wrong = [row for row in wrong if row not in composed]
        failed = failed or bool(wrong)
        print(f"{name}: {equal} of {len(expected)} equal" + (f", {len(composed)} not in NFC" if composed else ""))
        for text, ids, ours in wrong:
            at = next((i for i, (a, b) in enumerate(zip(ids, ours)) if a != b), min(len(ids), len(ours)))
            print(f"    {text[:50]!r} from token {at}: {ids[at : at + 5]}, not {ours[at : at + 5]}")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
