# SPDX-License-Identifier: Apache-2.0
"""Writes folders.json: the tokens that Transformers' tokenizers find in folders whose files name tokens in their ways.

Run with a Python that has transformers 5.24 (and tokenizers 0.23), in this directory: python make_golden.py
Each case is the tokenizer.json of ../tokenizers/gpt2_style with other added tokens, and files beside it. Of each the
generator writes the ids of some texts, their decoding without special tokens, the roles, and the size of the whole.
"""

import copy
import json
import pathlib
import tempfile

import transformers

HERE = pathlib.Path(__file__).parent
BASE = json.loads((HERE.parent / "tokenizers/gpt2_style/tokenizer.json").read_text())


def token(content, id=None, **flags):
    out = {
        "content": content,
        "single_word": False,
        "lstrip": False,
        "rstrip": False,
        "normalized": False,
        "special": True,
    }
    out.update(flags)
    return out if id is None else {"id": id, **out}


def typed(content, **flags):
    return {"__type": "AddedToken", **token(content, **flags)}


def decoder(*tokens):
    return {"added_tokens_decoder": {str(t["id"]): {k: v for k, v in t.items() if k != "id"} for t in tokens}}


TEXT, START, END = token("<|endoftext|>", 0), token("<|im_start|>", 1), token("<|im_end|>", 2)
NAMED = "<|im_end|>"  # which the vocabulary has, and most cases leave out of the added tokens
TWO = [TEXT, START]
ALL = [TEXT, START, END]
CONFIG, MAP, ADDED = "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"

# Name, added tokens of tokenizer.json, files.
CASES = [
    # Named, and only in the vocabulary.
    ("eos_token", TWO, {CONFIG: {"eos_token": NAMED}}),
    ("pad_token", TWO, {CONFIG: {"pad_token": NAMED}}),
    ("sep_token", TWO, {CONFIG: {"sep_token": NAMED}}),
    ("cls_token", TWO, {CONFIG: {"cls_token": NAMED}}),
    ("mask_token", TWO, {CONFIG: {"mask_token": NAMED}}),
    ("eos_token with flags", TWO, {CONFIG: {"eos_token": typed(NAMED, lstrip=True)}}),
    ("eos_token with flags, not special", TWO, {CONFIG: {"eos_token": typed(NAMED, special=False, rstrip=True)}}),
    ("a name of the model's own", TWO, {CONFIG: {"image_token": NAMED}}),
    ("a name of the model's own with flags", TWO, {CONFIG: {"image_token": typed("<tool>", rstrip=True)}}),
    ("additional_special_tokens", TWO, {CONFIG: {"additional_special_tokens": [NAMED, "<tool>"]}}),
    ("additional_special_tokens with flags", TWO, {CONFIG: {"additional_special_tokens": [typed(NAMED, lstrip=True)]}}),
    ("extra_special_tokens", TWO, {CONFIG: {"extra_special_tokens": ["<tool>", NAMED]}}),
    (
        "extra_special_tokens by name",
        TWO,
        {CONFIG: {"extra_special_tokens": {"tool_token": "<tool>", "end_token": NAMED, "boi_token": "</tool>"}}},
    ),
    (
        "extra_special_tokens by name and additional ones",
        TWO,
        {CONFIG: {"extra_special_tokens": {"tool_token": "<tool>"}, "additional_special_tokens": [NAMED]}},
    ),
    (
        "extra_special_tokens win over additional ones",
        TWO,
        {CONFIG: {"extra_special_tokens": ["<tool>"], "additional_special_tokens": [NAMED]}},
    ),
    (
        "no extra_special_tokens but additional ones",
        TWO,
        {CONFIG: {"extra_special_tokens": [], "additional_special_tokens": [NAMED]}},
    ),
    ("flags, then a text", ALL, {CONFIG: {"eos_token": typed("<tool>", lstrip=True), "pad_token": "<tool>"}}),
    ("objects before texts", ALL, {CONFIG: {"a_token": "<tool>", "b_token": typed("</tool>", rstrip=True)}}),
    # The map of special tokens.
    ("map", TWO, {MAP: {"eos_token": NAMED}}),
    ("map with flags", TWO, {MAP: {"eos_token": token(NAMED, rstrip=True)}}),
    ("map wins", TWO, {CONFIG: {"eos_token": "<|endoftext|>"}, MAP: {"eos_token": NAMED}}),
    ("null in the map", TWO, {CONFIG: {"eos_token": NAMED}, MAP: {"eos_token": None}}),
    ("null in the config", TWO, {CONFIG: {"eos_token": None}, MAP: {"eos_token": NAMED}}),
    ("map beside added_tokens_decoder", TWO, {CONFIG: decoder(TEXT), MAP: {"eos_token": NAMED}}),
    ("map beside an empty added_tokens_decoder", TWO, {CONFIG: decoder(), MAP: {"eos_token": NAMED}}),
    ("additional_special_tokens in the map", TWO, {MAP: {"additional_special_tokens": [NAMED]}}),
    (
        "additional_special_tokens in both",
        TWO,
        {CONFIG: {"additional_special_tokens": ["<tool>"]}, MAP: {"additional_special_tokens": [NAMED]}},
    ),
    (
        "extra_special_tokens in both",
        TWO,
        {CONFIG: {"extra_special_tokens": ["<tool>"]}, MAP: {"extra_special_tokens": [NAMED]}},
    ),
    (
        "by name in the map in place of a list",
        TWO,
        {
            CONFIG: {"extra_special_tokens": ["<tool>"], "additional_special_tokens": [NAMED]},
            MAP: {"extra_special_tokens": {"a_token": "</tool>"}},
        },
    ),
    ("extra_special_tokens by name in the map", TWO, {MAP: {"extra_special_tokens": {"a_token": "<tool>"}}}),
    ("a name of the model's own in the map", TWO, {MAP: {"image_token": token("<tool>", rstrip=True)}}),
    (
        "a name of the model's own in both",
        TWO,
        {CONFIG: {"image_token": "<tool>", "a_token": "</tool>"}, MAP: {"image_token": token(NAMED, rstrip=True)}},
    ),
    # added_tokens.json.
    ("added_tokens.json", TWO, {ADDED: {NAMED: 2}}),
    ("added_tokens.json, named", TWO, {ADDED: {NAMED: 2, "<tool>": 1200}, CONFIG: {"eos_token": NAMED}}),
    ("added_tokens.json, listed", TWO, {ADDED: {"<tool>": 1200}, CONFIG: {"extra_special_tokens": ["<tool>"]}}),
    ("added_tokens.json by id", TWO, {ADDED: {"<tool>": 1201, "</tool>": 1200}}),
    ("added_tokens.json with a gap", TWO, {ADDED: {"<tool>": 1300}}),
    ("added_tokens.json beside added_tokens_decoder", TWO, {ADDED: {"<tool>": 1200}, CONFIG: decoder(TEXT)}),
    ("added_tokens.json against tokenizer.json", ALL, {ADDED: {"<tool>": 2, NAMED: 7}}),
    # Flags.
    ("blanks on both sides", ALL, {CONFIG: decoder(token(NAMED, 2, lstrip=True, rstrip=True))}),
    ("no blanks", TWO + [token(NAMED, 2, lstrip=True, rstrip=True)], {CONFIG: decoder(END)}),
    ("blanks on the left, not special", ALL, {CONFIG: decoder(token(NAMED, 2, lstrip=True, special=False))}),
    ("special", TWO + [token(NAMED, 2, special=False)], {CONFIG: decoder(END)}),
    ("special by its name", TWO + [token(NAMED, 2, special=False)], {CONFIG: {"eos_token": NAMED}}),
    (
        "not special, for the decoder does not list it",
        TWO + [token(NAMED, 2, special=False)],
        {CONFIG: {"eos_token": NAMED, **decoder(TEXT)}},
    ),
    (
        "special by its name in the decoder",
        TWO,
        {CONFIG: {"eos_token": NAMED, **decoder(token(NAMED, 2, special=False, lstrip=True))}},
    ),
    (
        "single words",
        ALL + [token("tool", 1200, special=False)],
        {CONFIG: decoder(token("tool", 1200, special=False, single_word=True))},
    ),
    (
        "parts of words",
        ALL + [token("tool", 1200, special=False, single_word=True)],
        {CONFIG: decoder(token("tool", 1200, special=False))},
    ),
    ("flags left out", ALL, {CONFIG: {"added_tokens_decoder": {"2": {"content": NAMED, "lstrip": True}}}}),
    ("tokens of the decoder alone", ALL, {CONFIG: decoder(token("<tool>", 1200), token("</tool>", 1201))}),
    ("ids of the decoder with a gap", ALL, {CONFIG: decoder(token("<tool>", 1300), token("</tool>", 1250))}),
    ("another id in the decoder", ALL, {CONFIG: decoder(token(NAMED, 5, lstrip=True))}),
    ("another token at an id of the decoder", ALL, {CONFIG: decoder(token("<tool>", 2))}),
    ("a token twice in the decoder", ALL, {CONFIG: decoder(token("<tool>", 1200), token("<tool>", 1201, lstrip=True))}),
    ("an empty token in the decoder", ALL, {CONFIG: decoder(token("", 1200), token("<tool>", 1201))}),
    ("special tokens split", ALL, {CONFIG: {"split_special_tokens": True, "eos_token": NAMED}}),
    (
        "special tokens split, others not",
        ALL + [token("<tool>", 1200, special=False)],
        {CONFIG: {"split_special_tokens": True}},
    ),
    # Nowhere: the next ids, in the order of the names.
    ("pad_token nowhere", ALL, {CONFIG: {"pad_token": "[PAD]"}}),
    (
        "several nowhere",
        ALL,
        {
            CONFIG: {
                "additional_special_tokens": ["<tool>"],
                "pad_token": "[PAD]",
                "bos_token": "<s>",
                "eos_token": NAMED,
                "unk_token": "</tool>",
            }
        },
    ),
    # tokenizer.json itself.
    ("a gap in tokenizer.json", ALL + [token("<tool>", 1300)], {}),
    ("another id in tokenizer.json", TWO + [token(NAMED, 7)], {}),
    ("a token twice in tokenizer.json", ALL + [token(NAMED, 2, lstrip=True)], {}),
    ("an empty token in tokenizer.json", ALL + [token("", 1200), token("<tool>", 1201)], {}),
    ("tokenizer.json out of order", [END, token("</tool>", 1201), token("<tool>", 1200), TEXT], {}),
]

TEXTS = ["a <|im_end|> b", "hi<|im_end|>", "<|im_start|>x <tool> y</tool>", "xtool tool[PAD]<s>"]


def case(name, added, files):
    tokenizer_json = copy.deepcopy(BASE)
    tokenizer_json["added_tokens"] = added
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder)
        (path / "tokenizer.json").write_text(json.dumps(tokenizer_json))
        for file, content in files.items():
            (path / file).write_text(json.dumps(content))
        tokenizer = transformers.PreTrainedTokenizerFast.from_pretrained(folder)
    texts = []
    for text in TEXTS:
        ids = tokenizer(text)["input_ids"]
        texts.append({"text": text, "ids": ids, "decoded_skip": tokenizer.decode(ids, skip_special_tokens=True)})
    return {
        "name": name,
        "added_tokens": added,
        "files": files,
        "vocab_size": len(tokenizer),
        "roles": {role: getattr(tokenizer, f"{role}_token_id") for role in ("bos", "eos", "pad", "unk")},
        "texts": texts,
    }


if __name__ == "__main__":
    cases = [case(*arguments) for arguments in CASES]
    lines = ",\n".join(json.dumps(c, ensure_ascii=False) for c in cases)
    (HERE / "folders.json").write_text(f"[\n{lines}\n]\n", encoding="utf-8")
