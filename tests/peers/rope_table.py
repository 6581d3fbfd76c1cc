#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes tests/golden/models/rope_families.json: the frequencies and the factor on cosines and sines
that Transformers' own classes make of settings of every family, spelling and length.

    rope_table.py > tests/golden/models/rope_families.json
"""
import importlib
import json
import warnings

import torch
import transformers

warnings.filterwarnings("ignore")
transformers.logging.set_verbosity_error()

# model_type: module, config class, class of the rotary embedding
CLASSES = {
    "llama": ("llama", "LlamaConfig", "LlamaRotaryEmbedding"),
    "qwen2": ("qwen2", "Qwen2Config", "Qwen2RotaryEmbedding"),
    "qwen3": ("qwen3", "Qwen3Config", "Qwen3RotaryEmbedding"),
    "mistral": ("mistral", "MistralConfig", "MistralRotaryEmbedding"),
    "ministral3": ("ministral3", "Ministral3Config", "Ministral3RotaryEmbedding"),
    "smollm3": ("smollm3", "SmolLM3Config", "SmolLM3RotaryEmbedding"),
    "phi3": ("phi3", "Phi3Config", "Phi3RotaryEmbedding"),
    "granite": ("granite", "GraniteConfig", "GraniteRotaryEmbedding"),
    "hunyuan_v1_dense": ("hunyuan_v1_dense", "HunYuanDenseV1Config", "HunYuanDenseV1RotaryEmbedding"),
    "ernie4_5": ("ernie4_5", "Ernie4_5Config", "Ernie4_5RotaryEmbedding"),
    "olmo2": ("olmo2", "Olmo2Config", "Olmo2RotaryEmbedding"),
    "olmo3": ("olmo3", "Olmo3Config", "Olmo3RotaryEmbedding"),
    "exaone4": ("exaone4", "Exaone4Config", "Exaone4RotaryEmbedding"),
    "gemma2": ("gemma2", "Gemma2Config", "Gemma2RotaryEmbedding"),
    "gemma3_text": ("gemma3", "Gemma3TextConfig", "Gemma3RotaryEmbedding"),
    "gemma4_text": ("gemma4", "Gemma4TextConfig", "Gemma4TextRotaryEmbedding"),
    "glm4": ("glm4", "Glm4Config", "Glm4RotaryEmbedding"),
    "cohere2": ("cohere2", "Cohere2Config", "Cohere2RotaryEmbedding"),
    "starcoder2": ("starcoder2", "Starcoder2Config", "Starcoder2RotaryEmbedding"),
    "stablelm": ("stablelm", "StableLmConfig", "StableLmRotaryEmbedding"),
    "nemotron": ("nemotron", "NemotronConfig", "NemotronRotaryEmbedding"),
    "gpt_neox": ("gpt_neox", "GPTNeoXConfig", "GPTNeoXRotaryEmbedding"),
    "nanochat": ("nanochat", "NanoChatConfig", "NanoChatRotaryEmbedding"),
    "gpt_oss": ("gpt_oss", "GptOssConfig", "GptOssRotaryEmbedding"),
    "olmoe": ("olmoe", "OlmoeConfig", "OlmoeRotaryEmbedding"),
}

# Heads of 16, and a length of 128.
SIZES = {
    "hidden_size": 64,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "num_hidden_layers": 8,
    "head_dim": 16,
    "max_position_embeddings": 128,
}
TYPES = {"layer_types": ["sliding_attention", "full_attention"] * 4}
BY_TYPE = {"gemma3_text", "gemma4_text", "olmo3"}
NO_HEAD_DIM = {"phi3", "granite", "olmo2", "olmo3", "stablelm", "gpt_neox", "starcoder2", "exaone4"}

LONG = [1.0 + 0.5 * k for k in range(8)]
SHORT = [1.0 + 0.05 * k for k in range(8)]
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32}


def cases():
    """(name, model_type, settings, length)"""
    for family in CLASSES:
        if family not in ("gemma4_text", "gpt_oss"):
            yield f"{family} by default", family, {}, 1
    for family in ("qwen2", "qwen3", "mistral", "granite", "olmo2", "olmoe", "starcoder2", "nanochat", "gemma2",
                   "cohere2", "exaone4", "ernie4_5"):
        yield f"{family} linear, Transformers 4", family, {
            "rope_theta": 20000.0, "rope_scaling": {"type": "linear", "factor": 4.0}}, 1
    yield "qwen2 yarn as on the hub", "qwen2", {
        "rope_theta": 1000000.0, "rope_scaling": {"type": "yarn", "factor": 4.0,
                                                  "original_max_position_embeddings": 32}}, 1
    yield "smollm3 yarn", "smollm3", {"rope_theta": 5000000.0, "rope_scaling": dict(YARN)}, 1
    yield "mistral with other words", "mistral", {
        "rope_parameters": {"rope_type": "yarn", "rope_theta": 1000000.0, "factor": 8.0, "beta_fast": 16,
                            "beta_slow": 2, "original_max_position_embeddings": 64, "mscale": 0.7,
                            "mscale_all_dim": 0.5}}, 1
    for name, more in (
        ("attention_factor", {"attention_factor": 1.3}),
        ("one mscale alone", {"mscale": 0.7}),
        ("equal mscales", {"mscale": 0.7, "mscale_all_dim": 0.7}),
        ("no truncation", {"truncate": False}),
        ("betas", {"beta_fast": 4.0, "beta_slow": 0.5}),
        ("betas of zero", {"beta_fast": 0, "beta_slow": 0}),
        ("narrow ramp", {"beta_fast": 1.0, "beta_slow": 1.0, "truncate": False}),
        ("factor below one", {"factor": 0.5}),
    ):
        yield f"yarn, {name}", "llama", {"rope_theta": 10000.0, "rope_scaling": dict(YARN, **more)}, 1
    for length in (1, 128, 129, 300):
        yield f"dynamic at {length}", "qwen3", {
            "rope_theta": 10000.0, "rope_scaling": {"type": "dynamic", "factor": 2.0}}, length
    yield "hunyuan's alpha", "hunyuan_v1_dense", {
        "rope_theta": 10000.0,
        "rope_scaling": {"type": "dynamic", "alpha": 1000.0, "factor": 1.0, "beta_fast": 32, "beta_slow": 1,
                         "mscale": 1.0, "mscale_all_dim": 1.0}}, 200
    yield "hunyuan's alpha, Transformers 5", "hunyuan_v1_dense", {
        "rope_parameters": {"rope_theta": 11000.0, "rope_type": "dynamic", "alpha": 50.0, "factor": 3.0}}, 1
    yield "hunyuan without alpha", "hunyuan_v1_dense", {
        "rope_theta": 10000.0, "rope_scaling": {"type": "dynamic", "factor": 3.0}}, 200
    yield "hunyuan with an alpha of zero", "hunyuan_v1_dense", {
        "rope_theta": 10000.0, "rope_scaling": {"type": "dynamic", "factor": 3.0, "alpha": 0.0}}, 200
    yield "llama with an alpha", "llama", {
        "rope_theta": 10000.0, "rope_scaling": {"type": "dynamic", "factor": 3.0, "alpha": 50.0}}, 200
    yield "llama proportional", "llama", {
        "rope_parameters": {"rope_theta": 30000.0, "rope_type": "proportional", "partial_rotary_factor": 0.4,
                            "factor": 2.0}}, 1

    phi3 = {"short_factor": SHORT, "long_factor": LONG}
    for kind in ("longrope", "su", "yarn"):
        for length in (32, 33):
            yield f"phi3 {kind} at {length}", "phi3", {
                "rope_theta": 10000.0, "original_max_position_embeddings": 32,
                "rope_scaling": dict(phi3, type=kind, original_max_position_embeddings=32)}, length
    partial = {"short_factor": SHORT[:6], "long_factor": LONG[:6]}
    yield "phi-4-mini", "phi3", {
        "rope_theta": 10000.0, "original_max_position_embeddings": 32, "partial_rotary_factor": 0.75,
        "rope_scaling": dict(partial, type="longrope")}, 100
    yield "phi3 of Transformers 5", "phi3", {
        "original_max_position_embeddings": 64,
        "rope_parameters": dict(partial, rope_type="longrope", rope_theta=20000.0, partial_rotary_factor=0.75,
                                original_max_position_embeddings=32)}, 65
    yield "phi3 whose original length is inside", "phi3", {
        "rope_parameters": dict(phi3, rope_type="longrope", rope_theta=20000.0,
                                original_max_position_embeddings=32)}, 65
    yield "phi3 with a factor", "phi3", {
        "original_max_position_embeddings": 32,
        "rope_parameters": dict(phi3, rope_type="longrope", rope_theta=20000.0, factor=16.0)}, 1
    yield "longrope elsewhere", "qwen3", {
        "rope_theta": 10000.0,
        "rope_scaling": dict(phi3, rope_type="longrope", original_max_position_embeddings=32)}, 33
    yield "longrope with an attention_factor", "qwen3", {
        "rope_theta": 10000.0,
        "rope_scaling": dict(phi3, rope_type="longrope", original_max_position_embeddings=32,
                             attention_factor=1.19)}, 32

    for family, key in (("glm4", "partial_rotary_factor"), ("stablelm", "partial_rotary_factor"),
                        ("nemotron", "partial_rotary_factor"), ("gpt_neox", "rotary_pct"),
                        ("phi3", "partial_rotary_factor")):
        yield f"{family} with {key}", family, {key: 0.75}, 1
        yield f"{family}, part of Transformers 5", family, {
            "rope_parameters": {"rope_type": "default", "rope_theta": 700.0, "partial_rotary_factor": 0.375}}, 1
        if family != "phi3":
            yield f"{family}, part and linear", family, {
                key: 0.5, "rope_scaling": {"type": "linear", "factor": 3.0}}, 1
            yield f"{family}, part and dynamic", family, {
                key: 0.5, "rope_scaling": {"type": "dynamic", "factor": 3.0}}, 200
    yield "gpt_neox with rotary_emb_base", "gpt_neox", {"rotary_emb_base": 25000, "rotary_pct": 1.0}, 1
    yield "gpt_neox with rope_theta", "gpt_neox", {"rope_theta": 25000.0}, 1
    yield "glm4, an odd part", "glm4", {"partial_rotary_factor": 0.33}, 1
    yield "llama with a part", "llama", {"partial_rotary_factor": 0.5}, 1

    yield "ministral3 of its own", "ministral3", {
        "rope_parameters": {"rope_type": "yarn", "rope_theta": 1000000.0, "factor": 16.0, "beta_fast": 32.0,
                            "beta_slow": 1.0, "mscale": 1.0, "mscale_all_dim": 1.0, "llama_4_scaling_beta": 0.1,
                            "original_max_position_embeddings": 16, "max_position_embeddings": 128}}, 1
    yield "gpt_oss by default", "gpt_oss", {"rope_theta": 150000.0}, 1
    yield "gpt_oss", "gpt_oss", {
        "rope_theta": 150000.0, "rope_scaling": dict(YARN, beta_fast=32.0, beta_slow=1.0, truncate=False)}, 1
    yield "exaone4 llama3", "exaone4", {
        "rope_theta": 1000000.0,
        "rope_scaling": {"rope_type": "llama3", "factor": 16.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                         "original_max_position_embeddings": 64}}, 1

    for family in ("gemma3_text", "olmo3"):
        for name, more in (
            ("both keys", {"rope_theta": 5000.0, "rope_local_base_freq": 300.0}),
            ("linear", {"rope_theta": 5000.0, "rope_scaling": {"rope_type": "linear", "factor": 8.0}}),
            ("a type of the old name", {"rope_scaling": {"type": "linear", "factor": 8.0}}),
            ("yarn", {"rope_theta": 5000.0, "rope_scaling": dict(YARN, attention_factor=1.2)}),
            ("yarn without truncation", {"rope_theta": 5000.0, "rope_scaling": dict(YARN, truncate=False)}),
            ("dynamic", {"rope_theta": 5000.0, "rope_scaling": {"rope_type": "dynamic", "factor": 2.0}}),
            ("one dict a type", {"rope_parameters": {
                "sliding_attention": {"rope_type": "default", "rope_theta": 77.0},
                "full_attention": {"rope_type": "llama3", "rope_theta": 50000.0, "factor": 4.0,
                                   "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                                   "original_max_position_embeddings": 32}}}),
            ("a dict for one type", {"rope_theta": 900.0, "rope_parameters": {
                "full_attention": {"rope_type": "linear", "factor": 2.0}}}),
            ("a scaling over parameters", {"rope_scaling": {"factor": 3.0}, "rope_parameters": {
                "sliding_attention": {"rope_type": "linear", "rope_theta": 77.0, "factor": 5.0},
                "full_attention": {"rope_type": "linear", "rope_theta": 50000.0, "factor": 4.0}}}),
        ):
            yield f"{family}, {name}", family, more, 200 if name == "dynamic" else 1
    gemma4 = {"global_head_dim": 32}
    yield "gemma4 by default", "gemma4_text", gemma4, 1
    yield "gemma4, one dict a type", "gemma4_text", dict(gemma4, rope_parameters={
        "sliding_attention": {"rope_type": "linear", "rope_theta": 77.0, "factor": 2.0},
        "full_attention": {"rope_type": "proportional", "rope_theta": 50000.0, "partial_rotary_factor": 0.3,
                           "factor": 4.0}}), 1


def measured(family, settings, length):
    """[(layer type or "", frequencies, factor)]"""
    module, config_class, rotary_class = CLASSES[family]
    base = "transformers.models." + module
    sizes = {k: v for k, v in SIZES.items() if k != "head_dim" or family not in NO_HEAD_DIM}
    file = json.loads(json.dumps({**sizes, **(TYPES if family in BY_TYPE else {}), **settings}))
    config = getattr(importlib.import_module(f"{base}.configuration_{module}"), config_class).from_dict(file)
    rotary = getattr(importlib.import_module(f"{base}.modeling_{module}"), rotary_class)(config)
    positions = torch.arange(length)[None]
    x = torch.zeros(1)
    if isinstance(rotary.rope_type, dict):
        for kind in ("sliding_attention", "full_attention"):
            rotary(x, positions, layer_type=kind)
            scaling = getattr(rotary, f"{kind}_attention_scaling")
            yield kind, getattr(rotary, f"{kind}_inv_freq"), scaling
    else:
        rotary(x, positions)
        yield "", rotary.inv_freq, rotary.attention_scaling


def main():
    lines = []
    for name, family, settings, length in cases():
        for kind, frequency, factor in measured(family, settings, length):
            frequency = [float(f"{f:.8g}") for f in frequency.tolist()]
            lines.append(json.dumps({"name": name, "family": family, "config": settings, "layer_type": kind,
                                     "length": length, "frequency": frequency, "attention_factor": float(factor)}))
    print("[\n" + ",\n".join(lines) + "\n]")


main()
