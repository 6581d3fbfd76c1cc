# SPDX-License-Identifier: Apache-2.0
"""Writes trl.json: the ids and labels that TRL's SFTTrainer prepares from rows, with the tokenizers and templates here.

Run with a Python that has trl, in this directory: python make_golden.py
Left out is where inlay means to differ (see data/dataset/row_encoder.h): tokens that reach over the end of a prompt, and
control tokens spelt out by users.
"""

import json
import pathlib
import types

import datasets
import transformers
from trl.trainer.sft_trainer import SFTTrainer

GOLDEN = pathlib.Path(__file__).parent.parent
LLAMA3_TOKENS = ["<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]
GEMMA_TOKENS = ["<bos>", "<start_of_turn>", "<end_of_turn>"]

TEXTS = [
    {"text": "The quick brown fox jumps over the lazy dog."},
    {"text": "déjà vu 🙂\n\n  indented, 12345 digits\t"},
    {"text": "ends by itself<|im_end|>"},
]
PROMPTS = [
    {"prompt": "Order: 3 cats.\nRecord:", "completion": ' {"item": "cats", "quantity": 3}'},
    {"prompt": "Ünïcödé?", "completion": " Ja, 日本語 🙂."},
    {"prompt": "Two", "completion": " words<|im_end|>"},
    {"prompt": "Nothing", "completion": ""},
]
CHATS = [
    {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello there."}]},
    {
        "messages": [
            {"role": "user", "content": "What is 2 + 2?"},
            {"role": "assistant", "content": "It is 4."},
            {"role": "user", "content": "And 3 + 3? 🙂"},
            {"role": "assistant", "content": "It is 6,\nsurely."},
        ]
    },
]
CHAT_PROMPTS = [
    {
        "prompt": [{"role": "user", "content": "Hi"}],
        "completion": [{"role": "assistant", "content": "Hello there."}],
    },
    {
        "prompt": [
            {"role": "user", "content": "What is 2 + 2?"},
            {"role": "assistant", "content": "It is 4."},
            {"role": "user", "content": "And 3 + 3?"},
        ],
        "completion": [{"role": "assistant", "content": "It is 6."}],
    },
]

GPT2 = {"style": "gpt2_style", "eos_token": "<|im_end|>"}
SMOLLM = {"style": "smollm_style", "eos_token": "<|im_end|>"}
QWEN2 = {"style": "qwen2_style", "eos_token": "<|im_end|>"}
LLAMA3 = {"style": "llama3_style", "eos_token": "<|im_end|>", "bos_token": "<|endoftext|>"}
CHATML = SMOLLM | {"template": "chatml.jinja"}
GENERATION = QWEN2 | {"template": "chatml_generation.jinja"}
LLAMA3_CHAT = LLAMA3 | {"added": LLAMA3_TOKENS, "eos_token": "<|eot_id|>", "template": "llama3.jinja"}
GEMMA_CHAT = SMOLLM | {"added": GEMMA_TOKENS, "bos_token": "<bos>", "template": "gemma.jinja"}

WHOLE = {"completion_only_loss": False}
CASES = [
    *[(model, TEXTS, {}) for model in (GPT2, SMOLLM, QWEN2, LLAMA3)],
    *[(model, PROMPTS, {}) for model in (GPT2, SMOLLM, QWEN2, LLAMA3)],
    (SMOLLM, PROMPTS, WHOLE),
    (LLAMA3, PROMPTS[:1], {"max_length": 20}),
    (LLAMA3, PROMPTS[:1], {"max_length": 20, "truncation": "keep_end"}),
    *[(model, CHATS, {"assistant_only_loss": False}) for model in (CHATML, LLAMA3_CHAT, GEMMA_CHAT)],
    (GENERATION, CHATS, {"assistant_only_loss": True}),
    *[(model, CHAT_PROMPTS, {"assistant_only_loss": False}) for model in (CHATML, LLAMA3_CHAT, GEMMA_CHAT)],
    (GENERATION, CHAT_PROMPTS, {"assistant_only_loss": True}),
    (GENERATION, CHAT_PROMPTS, WHOLE | {"assistant_only_loss": True}),
    (CHATML, CHAT_PROMPTS, WHOLE | {"assistant_only_loss": False}),
]


def load_tokenizer(model):
    file = GOLDEN / "tokenizers" / model["style"] / "tokenizer.json"
    named = {key: model[key] for key in ("eos_token", "bos_token") if key in model}
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_file=str(file))
    # Added before they are named, so that their ids follow the order of the list.
    tokenizer.add_special_tokens({"additional_special_tokens": model.get("added", [])})
    tokenizer.add_special_tokens(named)
    if "template" in model:
        tokenizer.chat_template = (GOLDEN / "templates" / model["template"]).read_text()
    return tokenizer


def prepare(model, rows, options):
    tokenizer = load_tokenizer(model)
    trainer = types.SimpleNamespace(
        completion_only_loss=options.get("completion_only_loss", "prompt" in rows[0]),
        chat_template=tokenizer.chat_template,
        _tokenizer=tokenizer,
    )
    args = types.SimpleNamespace(
        assistant_only_loss=options.get("assistant_only_loss", False),
        dataset_num_proc=None,
        dataset_text_field="text",
        max_length=options.get("max_length", 1024),
        shuffle_dataset=False,
        truncation_mode=options.get("truncation", "keep_start"),
    )
    dataset = datasets.Dataset.from_list(rows)
    prepared = SFTTrainer._prepare_dataset(trainer, dataset, tokenizer, args, False, None, "train")
    assert len(prepared) == len(rows)
    return [{"ids": row["input_ids"], "labels": row["labels"]} for row in prepared]


def main():
    cases = [
        {"model": model, "options": options, "rows": rows, "examples": prepare(model, rows, options)}
        for model, rows, options in CASES
    ]
    lines = ",\n".join(json.dumps(case, ensure_ascii=False) for case in cases)
    (pathlib.Path(__file__).parent / "trl.json").write_text("[\n" + lines + "\n]\n")


if __name__ == "__main__":
    main()
