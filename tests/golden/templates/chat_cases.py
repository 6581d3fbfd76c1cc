# SPDX-License-Identifier: Apache-2.0
"""Conversations, tools and options that make_golden.py renders with every template of this folder."""

LLAMA3 = {"bos_token": "<|begin_of_text|>", "eos_token": "<|eot_id|>"}
SENTENCEPIECE = {"bos_token": "<s>", "eos_token": "</s>"}
SPECIAL_TOKENS = {
    "gemma": {"bos_token": "<bos>", "eos_token": "<eos>"},
    "gemma3": {"bos_token": "<bos>", "eos_token": "<eos>"},
    "llama2": SENTENCEPIECE,
    "llama3": LLAMA3,
    "llama3_1_tools": LLAMA3,
    "mistral": SENTENCEPIECE,
    "mistral_tools": SENTENCEPIECE,
    "phi3": {"bos_token": "<s>", "eos_token": "<|endoftext|>"},
    "smollm2": {"bos_token": "<|im_start|>", "eos_token": "<|im_end|>"},
    "zephyr": SENTENCEPIECE,
}

CALL = {
    "type": "function",
    "id": "abc123XYZ",
    "function": {"name": "get_weather", "arguments": {"city": "Z\u00fcrich", "days": 2, "units": ["C", "\"F\""], "exact": True, "note": None}},
}

CONVERSATIONS = {
    "user": [{"role": "user", "content": "What is 2 + 2?"}],
    "pair": [
        {"role": "user", "content": "What is 2 + 2?"},
        {"role": "assistant", "content": "Four."},
    ],
    "system": [
        {"role": "system", "content": "You are terse.\nVery."},
        {"role": "user", "content": "Hi!"},
        {"role": "assistant", "content": "Hello."},
        {"role": "user", "content": "Bye & <thanks>"},
        {"role": "assistant", "content": "So long."},
    ],
    "blanks": [
        {"role": "user", "content": "  leading and trailing \n"},
        {"role": "assistant", "content": "\n  an answer  \n\n"},
        {"role": "user", "content": "na\u00efve caf\u00e9 \u4e16\u754c \U0001f600"},
        {"role": "assistant", "content": ""},
    ],
    "assistant first": [
        {"role": "assistant", "content": "How can I help?"},
        {"role": "user", "content": "Hi!"},
        {"role": "assistant", "content": "Hello."},
    ],
    "two answers": [
        {"role": "user", "content": "Count."},
        {"role": "assistant", "content": "One."},
        {"role": "assistant", "content": "Two."},
    ],
    "tool call": [
        {"role": "user", "content": "Weather in Z\u00fcrich?"},
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "name": "get_weather", "content": "{\"sky\": \"clear\"}", "tool_call_id": "abc123XYZ"},
        {"role": "assistant", "content": "Clear skies."},
    ],
    "two calls": [
        {"role": "system", "content": "Use tools."},
        {"role": "user", "content": "Weather twice?"},
        {"role": "assistant", "content": "Looking.", "tool_calls": [CALL, CALL]},
        {"role": "tool", "name": "get_weather", "content": "rain", "tool_call_id": "abc123XYZ"},
        {"role": "tool", "name": "get_weather", "content": "sun", "tool_call_id": "abc123XYZ"},
        {"role": "assistant", "content": "Mixed."},
    ],
    "reasoning": [
        {"role": "user", "content": "Why?"},
        {"role": "assistant", "content": "<think>\nHm.\n</think>\n\nBecause."},
        {"role": "user", "content": "And why that?"},
        {"role": "assistant", "content": "It just is.", "reasoning": "Let me see."},
    ],
    "parts": [
        {"role": "system", "content": [{"type": "text", "text": "Be kind."}]},
        {"role": "user", "content": [{"type": "text", "text": " One. "}, {"type": "text", "text": "Two."}]},
        {"role": "assistant", "content": [{"type": "text", "text": "Three."}]},
    ],
}

TOOLS = {
    "weather": [
        {
            "type": "function",
            "function": {
                "name": "get_weather",
                "description": "The weather at a place.\nSees \u00fc <b> & \"quotes\".",
                "parameters": {
                    "type": "object",
                    "properties": {
                        "city": {"type": "string", "description": "Its name"},
                        "days": {"type": "integer", "default": 1},
                        "units": {"type": "array", "items": {"enum": ["C", "F"]}},
                        "where": {"type": "object", "properties": {"lat": {"type": "number", "minimum": -90.0}, "tags": {}}},
                    },
                    "required": ["city"],
                },
                "return": {"type": "string"},
            },
        },
        {"type": "function", "function": {"name": "now", "description": "", "parameters": {"type": "object", "properties": {}}}},
    ],
}

OPTIONS = [
    {},
    {"add_generation_prompt": True},
    {"tools": "weather"},
    {"tools": "weather", "tools_in_user_message": False, "builtin_tools": ["get_weather", "code_interpreter"], "date_string": "1 Jan 2025", "enable_thinking": False, "add_generation_prompt": True},
]
