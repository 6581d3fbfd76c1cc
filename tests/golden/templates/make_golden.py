# SPDX-License-Identifier: Apache-2.0
"""Writes language.json, sandbox.json and chats.json: what Jinja2, set up as Transformers sets it up, makes of the templates here.

Run with a Python that has transformers and jinja2: python make_golden.py
smollm2.jinja is the template of SmolLM2-135M-Instruct (Apache-2.0); the others are written for these tests and follow
the formats of the models they are named after.
"""

import datetime
import json
import pathlib
from unittest import mock

import jinja2
import transformers
from transformers.utils import chat_template_utils

import chat_cases
import language_cases
import sandbox_cases

HERE = pathlib.Path(__file__).parent
NOW = datetime.datetime(2025, 1, 31, 12, 30, 5)


class FixedDate(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls(NOW.year, NOW.month, NOW.day, NOW.hour, NOW.minute, NOW.second)


def compiled(template):
    return chat_template_utils._cached_compile_jinja_template(template)


def language_case(template):
    """The output, or null where Jinja2 raises."""
    try:
        return [template, compiled(template).render(**language_cases.CONTEXT)]
    except Exception:
        return [template, None]


def topics_of(module):
    topics = {topic: ["{{ " + e + " }}" for e in cases] for topic, cases in module.EXPRESSIONS.items()}
    for topic, cases in module.TEMPLATES.items():
        topics.setdefault(topic, []).extend(cases)
    return {topic: [language_case(case) for case in cases] for topic, cases in topics.items()}


def refused():
    """Templates that Jinja2 renders and inlay refuses."""
    for template in language_cases.REFUSED:
        compiled(template).render(**language_cases.CONTEXT)
    return language_cases.REFUSED


def byte_ranges(text, ranges):
    return [[len(text[:a].encode()), len(text[:b].encode())] for a, b in ranges]


def chat_case(name, template, conversation, options):
    tokens = chat_cases.SPECIAL_TOKENS.get(name, {})
    case = {"template": name, "conversation": conversation, "options": options}
    arguments = dict(options)
    tools = chat_cases.TOOLS[arguments.pop("tools")] if "tools" in arguments else None
    try:
        texts, ranges = chat_template_utils.render_jinja_template(
            [chat_template_utils._normalize_chat_messages(chat_cases.CONVERSATIONS[conversation])],
            tools=tools,
            chat_template=template,
            return_assistant_tokens_mask="generation %}" in template,
            **{"add_generation_prompt": False, **tokens, **arguments},
        )
        case["text"] = texts[0]
        if ranges and ranges[0]:
            case["generations"] = byte_ranges(texts[0], ranges[0])
    except jinja2.exceptions.TemplateError as error:
        case["error"] = str(error)
    except TypeError as error:
        case["error"] = "TypeError: " + str(error)
    return case


def chats():
    cases = []
    for path in sorted(HERE.glob("*.jinja")):
        template = path.read_text()
        for conversation in chat_cases.CONVERSATIONS:
            for options in chat_cases.OPTIONS:
                if "tools" in options and "tools" not in template:
                    continue
                cases.append(chat_case(path.stem, template, conversation, options))
    return {
        "special_tokens": chat_cases.SPECIAL_TOKENS,
        "conversations": chat_cases.CONVERSATIONS,
        "tools": chat_cases.TOOLS,
        "cases": cases,
    }


def write(name, content):
    text = json.dumps(content, ensure_ascii=False, indent=0)
    (HERE / name).write_text(text + "\n")


if __name__ == "__main__":
    versions = {"jinja2": jinja2.__version__, "transformers": transformers.__version__}
    with mock.patch.object(chat_template_utils, "datetime", FixedDate):
        write("language.json", {"made_with": versions, "context": language_cases.CONTEXT, "topics": topics_of(language_cases), "refused": refused()})
        write("sandbox.json", {"made_with": versions, "now": NOW.isoformat(), "context": language_cases.CONTEXT, "topics": topics_of(sandbox_cases)})
        write("chats.json", {"made_with": versions, "now": NOW.isoformat(), **chats()})
