#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Folders with a tokenizer.model and no tokenizer.json: ids and decoded text of inlay beside Transformers'.

    sentence_pieces.py [--inlay COMMAND] [--keep FOLDER] TEXT
    sentence_pieces.py [--inlay COMMAND] --folder FOLDER… TEXT
    sentence_pieces.py --golden FOLDER TEXT

Trains small models with SentencePiece on TEXT and puts them into folders as the models' makers do, every
class and setting that inlay knows; or takes folders that are there. One line each; the exit code is 1 where any differs.
--golden writes tests/golden/sentence_pieces: smaller ones, with what Transformers makes of a few texts."""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import sentencepiece
from transformers import AutoTokenizer

LLAMA = {
    "model_type": "bpe",
    "vocab_size": 600,
    "byte_fallback": True,
    "character_coverage": 0.999,
    "split_digits": True,
    "allow_whitespace_only_pieces": True,
    "normalization_rule_name": "identity",
    "remove_extra_whitespaces": False,
    "unk_id": 0,
    "bos_id": 1,
    "eos_id": 2,
    "pad_id": -1,
}
GEMMA = LLAMA | {
    "pad_id": 0,
    "eos_id": 1,
    "bos_id": 2,
    "unk_id": 3,
    "eos_piece": "<eos>",
    "bos_piece": "<bos>",
    "add_dummy_prefix": False,
    "user_defined_symbols": ["<mask>", "<start_of_turn>", "<end_of_turn>", "\n", "\n\n", "\t", "▁▁"],
}
T5 = {"model_type": "unigram", "vocab_size": 600, "pad_id": 0, "eos_id": 1, "unk_id": 2, "bos_id": -1}
NAMES = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
OWN = {"user_defined_symbols": ["<|user|>", "\n\n", "(c)", "  "], "control_symbols": ["[INST]", "[/INST]"]}


def token(content: str, **flags: bool) -> dict:
    return {"content": content} | dict.fromkeys(("lstrip", "rstrip", "single_word", "normalized"), False) | flags


ADDED = {
    "0": token("<unk>", special=True, normalized=True),
    "1": token("<s>", special=True, normalized=True),
    "2": token("</s>", special=True, normalized=True),
    "+0": token("<|im_start|>", special=True),  # behind the model's pieces
    "+1": token("<|im_end|>", special=True),
    "+2": token("<tool>", normalized=True),
}
# Name: settings of the trainer, tokenizer_config.json, model_type.
FOLDERS = {
    "llama": (LLAMA, {"tokenizer_class": "LlamaTokenizer", "add_bos_token": True} | NAMES, "llama"),
    "llama-legacy": (
        LLAMA,
        {"tokenizer_class": "LlamaTokenizer", "legacy": True, "add_bos_token": True, "add_eos_token": True} | NAMES,
        "llama",
    ),
    "llama-without-prefix": (
        LLAMA,
        {"tokenizer_class": "LlamaTokenizerFast", "add_prefix_space": False} | NAMES,
        "llama",
    ),
    "llama-added": (
        LLAMA,
        {"tokenizer_class": "LlamaTokenizer", "add_bos_token": True, "added_tokens_decoder": ADDED}
        | NAMES
        | {"eos_token": "<|im_end|>"},
        "llama",
    ),
    "llama-own": (LLAMA | OWN, {"tokenizer_class": "LlamaTokenizer"} | NAMES, "llama"),
    "mistral": (LLAMA, {"tokenizer_class": "LlamaTokenizer", "legacy": True, "add_bos_token": True} | NAMES, "mistral"),
    "phi3": (
        LLAMA,
        {"tokenizer_class": "LlamaTokenizer", "legacy": False, "add_bos_token": True, "added_tokens_decoder": ADDED}
        | NAMES,
        "phi3",
    ),
    "placeholder": (
        LLAMA | {"control_symbols": ["[unused]"]},
        {"tokenizer_class": "LlamaTokenizer", "added_tokens_decoder": {"3": token("<|user|>", special=True)}},
        "ernie4_5",
    ),
    "alone": (LLAMA, None, None),
    "generic-own": (LLAMA | OWN, {"tokenizer_class": "PreTrainedTokenizerFast"}, None),
    "generic-nmt": (
        LLAMA | {"normalization_rule_name": "nmt_nfkc", "remove_extra_whitespaces": True},
        {"tokenizer_class": "PreTrainedTokenizerFast"},
        None,
    ),
    "generic-plain": (
        LLAMA | {"add_dummy_prefix": False, "byte_fallback": False},
        {"tokenizer_class": "PreTrainedTokenizerFast"},
        None,
    ),
    "generic-unigram": (
        LLAMA | {"model_type": "unigram", "normalization_rule_name": "nmt_nfkc", "remove_extra_whitespaces": True},
        {"tokenizer_class": "PreTrainedTokenizerFast"},
        None,
    ),
    "gemma": (GEMMA, {"tokenizer_class": "GemmaTokenizer", "add_bos_token": True}, "gemma"),
    "gemma3": (GEMMA, None, "gemma3_text"),
    "t5": (
        T5,
        {"tokenizer_class": "T5Tokenizer", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>", "extra_ids": 10},
        "t5",
    ),
}
PROBES = [
    "",
    " ",
    "   ",
    "Hello, world!",
    " leading and trailing ",
    "two  blanks,   three\n\n\tand a tab\r\n",
    "▁ a bar at the start ▁▁ and within",
    "12345 67.89",
    "hé 世界 🙂 \u200d ﬁ ① Ａ é",
    "<s>[INST] Hi [/INST] <|user|>x</s><unk>",
    "<|im_start|>user\nHi<|im_end|>\n<tool> a<tool>b",
    "<start_of_turn>user\n\n\nhi<end_of_turn><mask><pad>",
    "(c)(c) a(c) <extra_id_0> b<extra_id_9>",
    "the\x00nul and \ufeffmark",
    "<0x41> a<0x41>b",
]


# Folders of tests/golden, smaller. The normaliser: what NFKC and SentencePiece's rules are of, in short.
GOLDEN = {
    name: {"vocab_size": 360, "character_coverage": 0.99, **settings}
    for name, settings in {
        "llama-added": {},
        "llama-own": {},
        "mistral": {},
        "generic-own": {},
        "gemma": {},
        "t5": {"vocab_size": 200, "normalization_rule_tsv": "RULES"},
        "generic-unigram": {"normalization_rule_tsv": "RULES"},
    }.items()
}
RULES = "FB01\t66 69\n2460\t31\nFF21\t41\n9\t20\nA\t20\n200D\t\n"


def make(name: str, where: pathlib.Path, text: str, smaller: dict | None = None) -> pathlib.Path:
    settings, config, model_type = FOLDERS[name]
    settings = settings | (smaller or {})
    folder = where / name
    folder.mkdir(parents=True)
    if "normalization_rule_tsv" in settings:
        rules = folder / "rules.tsv"
        rules.write_text(RULES)
        settings = settings | {"normalization_rule_tsv": str(rules)}
    sentencepiece.SentencePieceTrainer.train(
        model_prefix=str(folder / "tokenizer"),
        input=text,
        minloglevel=2,
        num_threads=1,
        max_sentence_length=10000,
        input_sentence_size=3000,
        shuffle_input_sentence=False,
        **settings,
    )
    os.remove(folder / "tokenizer.vocab")
    (folder / "rules.tsv").unlink(missing_ok=True)
    if config is not None:
        if added := config.get("added_tokens_decoder"):
            size = settings["vocab_size"]
            config = config | {"added_tokens_decoder": {str(int(k) + size * ("+" in k)): v for k, v in added.items()}}
        (folder / "tokenizer_config.json").write_text(json.dumps(config))
    if model_type is not None:
        (folder / "config.json").write_text(json.dumps({"model_type": model_type}))
    return folder


def differences(inlay: str, folder: pathlib.Path, text: str) -> list[str]:
    theirs = AutoTokenizer.from_pretrained(folder)
    probes = PROBES + [pathlib.Path(text).read_text(errors="replace")[:50000]]
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(probes, file)
        file.flush()
        command = [inlay, "tokenize", "--tokenizer", str(folder), "--json", "--file", file.name]
        done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        return [done.stderr.strip()]
    wrong = []
    for probe, row in zip(probes, json.loads(done.stdout), strict=True):
        ids = theirs.encode(probe)
        if ids != row["ids"]:
            at = next((i for i, (a, b) in enumerate(zip(ids, row["ids"])) if a != b), min(len(ids), len(row["ids"])))
            wrong.append(f"ids of {probe[:40]!r} from {at}: {ids[at : at + 5]}, not {row['ids'][at : at + 5]}")
        elif theirs.decode(ids) != row["decoded"]:
            wrong.append(f"text of {probe[:40]!r}: {theirs.decode(ids)[:60]!r}, not {row['decoded'][:60]!r}")
    return wrong


def write_golden(where: pathlib.Path, text: str) -> None:
    for name, smaller in GOLDEN.items():
        folder = make(name, where, text, smaller)
        theirs = AutoTokenizer.from_pretrained(folder)
        rows = []
        for probe in PROBES + ["The Software is provided as is, without warranty of any kind. " * 3]:
            ids = theirs.encode(probe)
            rows.append({"text": probe, "ids": ids, "decoded": theirs.decode(ids)})
        lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
        (folder / "golden.json").write_text(f"[\n{lines}\n]\n")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("text", metavar="TEXT")
    parser.add_argument("--inlay", default="build/release/apps/inlay")
    parser.add_argument("--keep", type=pathlib.Path)
    parser.add_argument("--folder", type=pathlib.Path, nargs="+")
    parser.add_argument("--golden", type=pathlib.Path)
    arguments = parser.parse_args()
    if arguments.golden:
        write_golden(arguments.golden, arguments.text)
        return 0
    failed = False
    with tempfile.TemporaryDirectory() as scratch:
        where = arguments.keep or pathlib.Path(scratch)
        for folder in arguments.folder or [make(name, where, arguments.text) for name in FOLDERS]:
            wrong = differences(arguments.inlay, folder, arguments.text)
            failed = failed or bool(wrong)
            print(folder.name, "; ".join(wrong) or "equal", flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
