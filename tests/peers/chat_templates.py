# SPDX-License-Identifier: Apache-2.0
"""Chat templates of models, as Transformers and as inlay render them, and what inlay trains on in the result.

    python tests/peers/chat_templates.py --inlay build/release/apps/inlay PATH...

A PATH is a .jinja file, a tokenizer_config.json or a folder, searched for both: a model's folder, llama.cpp's
models/templates, the chat_templates of an installed TRL. Each template renders every conversation below, with every set
of options: as a whole, asking for an answer, and to be continued where the last message is the assistant's. A text that
is not Transformers' to the character, or that one of both refuses, is printed and makes the exit code 1.

Then the trained spans: every answer has to be in one, no question in any; spans of {% generation %} blocks have to be
Transformers'. A conversation whose answers inlay cannot place is counted as "no place", with its sentence; one with a message that the
template writes nothing of, which inlay refuses, as "left out"; contents of several parts, which inlay joins for templates
that take no lists, as "joined parts". --table prints a
line a template; --show what is trained on in one conversation.
"""

import argparse
import contextlib
import copy
import datetime
import io
import json
import logging
import pathlib
import subprocess
import sys
import tempfile
from unittest import mock

from transformers.utils import chat_template_utils

logging.getLogger("transformers").setLevel(logging.ERROR)
NOW = datetime.datetime(2025, 1, 31, 12, 30, 5)

# What stands in a template, and the tokens of the models that have it.
TOKENS = [
    ("<|start_header_id|>", "<|begin_of_text|>", "<|eot_id|>"),
    ("<start_of_turn>", "<bos>", "<eos>"),
    ("<|turn>", "<bos>", "<eos>"),
    ("<|START_OF_TURN_TOKEN|>", "<BOS_TOKEN>", "<|END_OF_TURN_TOKEN|>"),
    ("<|im_start|>", "<|endoftext|>", "<|im_end|>"),
    ("<|start_of_role|>", "<|end_of_text|>", "<|end_of_text|>"),
    ("<｜Assistant｜>", "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>"),
    ("[|assistant|]", "[BOS]", "[|endofturn|]"),
    ("[gMASK]", "", "<|endoftext|>"),
    ("<|end|>", "<s>", "<|endoftext|>"),
]

TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather at a place.",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string", "description": "Its name & country"},
                "days": {"type": "integer", "default": 1},
                "units": {"type": "array", "items": {"type": "string", "enum": ["C", "F"]}},
                "where": {"type": "object", "properties": {"lat": {"type": "number"}}, "required": ["lat"]},
            },
            "required": ["city"],
        },
    },
}
NOTHING = {"type": "function", "function": {"name": "now", "description": "The time.", "parameters": {"type": "object", "properties": {}}}}
CALL = {"type": "function", "id": "abc123XYZ", "function": {"name": "get_weather", "arguments": {"city": "Zürich", "days": 2, "exact": True, "note": None}}}
TEXT_CALL = {"type": "function", "id": "abc123XYZ", "function": {"name": "get_weather", "arguments": '{"city": "Zürich"}'}}
RESULT = {"role": "tool", "name": "get_weather", "content": '{"sky": "clear"}', "tool_call_id": "abc123XYZ"}


def user(text):
    return {"role": "user", "content": text}


def assistant(text, **more):
    return {"role": "assistant", "content": text, **more}


CONVERSATIONS = {
    "question": [user("What is 2 + 2?")],
    "answer": [user("What is 2 + 2?"), assistant("It is four.")],
    "turns": [
        {"role": "system", "content": "You are terse.\nVery."},
        user("Hi there, one"),
        assistant("Hello you, alpha."),
        user("And <b>two</b> & three?"),
        assistant("Reply beta\nin lines."),
        user("naïve café 世界 😀"),
        assistant("Last gamma."),
    ],
    "without system": [user("First one"), assistant("Answer alpha."), user("Second one"), assistant("Answer beta.")],
    "blanks": [user("  blanks \n"), assistant("\n  some answer  \n\n"), user("more?"), assistant("no more ")],
    "thinking": [
        user("Why one?"),
        assistant("Because alpha.", reasoning_content="Let me see, first."),
        user("Why two?"),
        assistant("Because beta.", reasoning_content="Let me see, second.\nLonger."),
    ],
    "thinking in the content": [
        user("Why one?"),
        assistant("<think>\nHmm, first.\n</think>\n\nBecause alpha."),
        user("Why two?"),
        assistant("<think>\nHmm, second.\n</think>\n\nBecause beta."),
    ],
    "thinking once": [
        user("Why one?"),
        assistant("Because alpha."),
        user("Why two?"),
        assistant("Because beta.", reasoning_content="Only now."),
        user("Why three?"),
        assistant("Because gamma."),
    ],
    "call": [
        {"role": "system", "content": "Use tools."},
        user("Weather in Zürich?"),
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        RESULT,
        assistant("Clear skies alpha."),
    ],
    "call with text": [user("Weather?"), assistant("Looking alpha.", tool_calls=[CALL]), RESULT, assistant("Clear skies beta."), user("Thanks!"), assistant("Welcome gamma.")],
    "two calls": [user("Weather?"), assistant("", tool_calls=[CALL, CALL]), RESULT, RESULT, assistant("Clear skies alpha.")],
    "call as text": [user("Weather?"), assistant("", tool_calls=[TEXT_CALL]), RESULT, assistant("Clear skies alpha.")],
    "thinking and calls": [
        user("Weather?"),
        assistant("", reasoning_content="I need the tool.", tool_calls=[CALL]),
        RESULT,
        assistant("Clear skies alpha.", reasoning_content="So it is clear."),
        user("Again?"),
        assistant("Still clear beta.", reasoning_content="As before."),
    ],
    "parts": [user([{"type": "text", "text": "One part."}, {"type": "text", "text": "Another."}]), assistant([{"type": "text", "text": "Three alpha."}])],
    "assistant last": [user("Say it."), assistant("Half of a sentence ")],
}
DOCUMENTS = [{"title": "On tea", "text": "Tea is hot.", "doc_id": 1}, {"title": "On ice", "text": "Ice is cold.", "doc_id": 2}]
OPTIONS = [
    {},
    {"tools": [TOOL, NOTHING]},
    {"documents": DOCUMENTS},
    {"chat_template_kwargs": {"enable_thinking": False}},
    {"chat_template_kwargs": {"enable_thinking": True, "thinking": True, "reasoning_effort": "high"}},
    {"tools": [TOOL], "chat_template_kwargs": {"enable_thinking": False, "preserve_thinking": True, "clear_thinking": False}},
]


class FixedDate(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls(NOW.year, NOW.month, NOW.day, NOW.hour, NOW.minute, NOW.second)


def templates_in(path):
    """Name and text of each."""
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    for file in files:
        if file.suffix == ".jinja":
            yield file.stem, file.read_text()
        elif file.name == "tokenizer_config.json":
            found = json.loads(file.read_text()).get("chat_template")
            for name, text in found.items() if isinstance(found, dict) else [("", found)] if isinstance(found, str) else [(t["name"], t["template"]) for t in found or []]:
                yield f"{file.parent.name}{' ' if name else ''}{name}", text


def tokens_of(template):
    for mark, bos, eos in TOKENS:
        if mark in template:
            return {"bos_token": bos, "eos_token": eos}
    return {"bos_token": "<s>", "eos_token": "</s>"}


def write_tokenizer(folder, tokens):
    """Every byte a token, so that ids are letters; and the names that templates read."""
    letters = list(range(33, 127)) + list(range(161, 173)) + list(range(174, 256))
    vocabulary = {chr(b): b for b in letters}
    vocabulary.update({chr(256 + i): b for i, b in enumerate(b for b in range(256) if b not in letters)})
    tokenizer = {
        "version": "1.0",
        "added_tokens": [],
        "normalizer": None,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False},
        "post_processor": None,
        "decoder": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False},
        "model": {"type": "BPE", "vocab": vocabulary, "merges": []},
    }
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer, ensure_ascii=False))
    (folder / "tokenizer_config.json").write_text(json.dumps({"added_tokens_decoder": {}, **tokens}, ensure_ascii=False))


def expected(template, tokens, row, mode):
    """Text and generation ranges, or why there are none."""
    messages = chat_template_utils._normalize_chat_messages(copy.deepcopy(row["messages"]))
    try:
        texts, ranges = chat_template_utils.render_jinja_template(
            [messages],
            tools=row.get("tools"),
            documents=row.get("documents"),
            chat_template=template,
            add_generation_prompt=mode == "ask",
            continue_final_message=mode == "continue",
            return_assistant_tokens_mask=mode == "whole" and "generation" in template,
            **{**tokens, **row.get("chat_template_kwargs", {})},
        )
        blocks = [texts[0][a:b] for a, b in ranges[0] if b > a] if ranges and ranges[0] else None
        return {"text": texts[0], "blocks": blocks}
    except Exception as error:  # a template may raise anything
        return {"error": f"{type(error).__name__}: {error}"}


def is_joined(row, want):
    """Parts that the template does not read: inlay joins them, Transformers fails or prints Python's list."""
    parts = any(isinstance(message["content"], list) for message in row["messages"])
    return parts and ("error" in want or "'type': 'text'" in want["text"] or "One part." not in want["text"])


def run_rows(inlay, folder, template, rows, mode, thinking="all"):
    (folder / "rows.jsonl").write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    command = [inlay, "tokenize", "--tokenizer", folder, "--chat", "--json", "--chat-template", template, "--date", NOW.isoformat(), "--file", folder / "rows.jsonl"]
    command += ["--train-on-thinking", thinking] if thinking != "all" else []
    done = subprocess.run([str(c) for c in command + (["--prompt"] if mode != "whole" else [])], capture_output=True, text=True)
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr.strip()


def rendered(inlay, folder, template, rows, mode):
    """What inlay makes of each row: a refused one stops the program, which is then started behind it."""
    results = []
    while len(results) < len(rows):
        code, done, error = run_rows(inlay, folder, template, rows[len(results):], mode)
        results += done
        if code != 0:
            results.append({"error": error.split(": line ", 1)[-1].split(": ", 1)[-1]})
    return results


def spoken(message):
    content = message.get("content") or ""
    text = content if isinstance(content, str) else "".join(part["text"] for part in content)
    return text.split("</think>")[-1].strip()


def wrong_spans(row, result, want):
    """What is wrong with the trained text, or nothing."""
    if want["blocks"] is not None:
        mine = [t for t in result["trained"] if t]
        return "" if mine == want["blocks"] else f"generation blocks {want['blocks']}, trained {mine}"
    answers = [m for m in row["messages"] if m["role"] == "assistant"]
    if len(result["trained"]) != len(answers):
        return f"{len(answers)} answers, {len(result['trained'])} spans"
    for message, span in zip(answers, result["trained"]):
        call = message.get("tool_calls")
        if spoken(message) not in span and not (call and not message.get("content")) and spoken(message) in result["text"]:
            return f"{spoken(message)!r} is not in {span!r}"
        if call and call[0]["function"]["name"] not in span and call[0]["function"]["name"] in result["text"] and "tools" not in row:
            return f"the call is not in {span!r}"
    for message in row["messages"]:
        said = spoken(message)
        if message["role"] != "assistant" and len(said) > 4 and any(said in span for span in result["trained"]):
            return f"{said!r} is trained on"
    return ""


def compare(args, name, template, folder):
    tokens = tokens_of(template)
    write_tokenizer(folder, tokens)
    (folder / "the.jinja").write_text(template)
    rows = [{"messages": chat, **options} for chat in CONVERSATIONS.values() for options in OPTIONS if "tools" not in options or "tools" in template]
    counts = {"equal": 0, "both refuse": 0, "joined parts": 0, "different": 0, "spans": 0, "left out": 0, "no place": 0, "wrong spans": 0}
    shown = set()

    def complain(kind, row, text):
        counts[kind] += 1
        if kind != "left out" and len(shown) < args.most and text[:60] not in shown:
            shown.add(text[:60])
            print(f"{name}: {kind}: {json.dumps(row, ensure_ascii=False)[:args.width]}\n    {text}")

    for mode in ("whole", "ask", "continue"):
        those = [r for r in rows if (r["messages"][-1]["role"] == "assistant") == (mode == "continue") or mode == "whole"]
        if mode == "whole":
            those = [r for r in those if any(m["role"] == "assistant" for m in r["messages"])]
        for row, result in zip(those, rendered(args.inlay, folder, folder / "the.jinja", those, mode)):
            want = expected(template, tokens, row, mode)
            if is_joined(row, want):
                counts["joined parts"] += 1
            elif "error" in want:
                counts["both refuse" if "error" in result else "different"] += 1
                if "error" not in result:
                    complain("different", row, f"Transformers: {want['error'][:200]}; inlay: {result['text']!r}")
            elif "error" in result:
                refused = mode == "whole"
                kind = "left out" if "writes nothing of" in result["error"] else "no place" if refused else "different"
                complain(kind, row, f"inlay: {result['error'][:600]}" + ("" if refused else f"; Transformers: {want['text'][-300:]!r}"))
            elif want["text"] != result["text"]:
                at = next((i for i, (a, b) in enumerate(zip(want["text"], result["text"])) if a != b), min(len(want["text"]), len(result["text"])))
                complain("different", row, f"{mode}: at {at} Transformers {want['text'][at:at + 60]!r}, inlay {result['text'][at:at + 60]!r}")
            else:
                counts["equal"] += 1
                wrong = wrong_spans(row, result, want) if mode == "whole" else ""
                if wrong:
                    complain("wrong spans", row, wrong)
                elif mode == "whole":
                    counts["spans"] += 1
    return counts


def show(args, name, template, folder):
    chosen = CONVERSATIONS[args.show]
    print(f"{name}:")
    code, done, error = run_rows(args.inlay, folder, folder / "the.jinja", [{"messages": chosen}], "whole", args.thinking)
    for span in done[0]["trained"] if code == 0 else [error]:
        print(f"    {span!r}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("paths", nargs="+", type=pathlib.Path)
    parser.add_argument("--inlay", default="build/release/apps/inlay")
    parser.add_argument("--only", nargs="*", default=[], help="templates whose name has one of these in it")
    parser.add_argument("--table", action="store_true", help="a line of Markdown a template")
    parser.add_argument("--show", choices=CONVERSATIONS, help="print what is trained on in this conversation")
    parser.add_argument("--thinking", default="all", choices=["all", "own", "none"], help="data.train_on_thinking for --show")
    parser.add_argument("--most", type=int, default=3, help="differences to print of a template")
    parser.add_argument("--width", type=int, default=200, help="letters of a row to print")
    args = parser.parse_args()
    bad = 0
    total = {}
    if args.table:
        print("| template | texts equal | both refuse | joined parts | different | spans right | left out | no place | wrong |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder, mock.patch.object(chat_template_utils, "datetime", FixedDate):
        for path in args.paths:
            for name, template in templates_in(path):
                if args.only and not any(word in name for word in args.only):
                    continue
                with contextlib.redirect_stdout(io.StringIO()) if args.show else contextlib.nullcontext():
                    counts = compare(args, name, template, pathlib.Path(folder))
                bad += counts["different"] + counts["wrong spans"]
                total = {key: total.get(key, 0) + count for key, count in counts.items()}
                if args.show:
                    show(args, name, template, pathlib.Path(folder))
                elif args.table:
                    print("| " + " | ".join([name, *(str(c) for c in counts.values())]) + " |")
    print(json.dumps(total))
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
