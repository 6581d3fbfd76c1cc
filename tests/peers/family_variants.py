# SPDX-License-Identifier: Apache-2.0
"""Small random models of every family in sizes and settings of their own, as folders.

    python tests/peers/family_variants.py OUT [FAMILY...]

Made by Transformers, for peft_both_ways.py and gguf_of_family.py: whatever a family's config can say differently
(head sizes, shared heads, windows, angles, biases, caps, ties) is said differently somewhere. `VARIANTS` lists them; a
name that ends in "-hub" is also written with the keys that files on the hub have, in place of Transformers 5's own.
"""

import json
import pathlib
import sys

BASE = {
    "vocab_size": 120,
    "hidden_size": 48,
    "intermediate_size": 72,
    "num_hidden_layers": 3,
    "num_attention_heads": 6,
    "num_key_value_heads": 3,
    "max_position_embeddings": 64,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
YARN = {"rope_type": "yarn", "rope_theta": 5000.0, "factor": 3.0, "original_max_position_embeddings": 16}
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 5000.0,
    "factor": 4.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 16,
}
LINEAR = {"rope_type": "linear", "rope_theta": 20000.0, "factor": 2.5}
DYNAMIC = {"rope_type": "dynamic", "rope_theta": 10000.0, "factor": 2.0}
PLAIN = {"rope_type": "default", "rope_theta": 3000.0}
TWO_ROPES = {"sliding_attention": {"rope_type": "default", "rope_theta": 777.0}, "full_attention": LINEAR}
# The part for images of a model that has one.
SMALL_EYES = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
EYES = {
    "mistral3": {**SMALL_EYES, "model_type": "pixtral", "head_dim": 8, "image_size": 28},
    "gemma3": {**SMALL_EYES, "model_type": "siglip_vision_model", "image_size": 28, "patch_size": 14},
    "gemma4": {**SMALL_EYES, "model_type": "gemma4_vision", "num_key_value_heads": 2, "head_dim": 8},
}
MIXED = ["sliding_attention", "full_attention", "sliding_attention"]


def partial(fraction, rope=PLAIN):
    return {**rope, "partial_rotary_factor": fraction}


def longrope(pairs):
    return {
        "rope_type": "longrope",
        "rope_theta": 10000.0,
        "short_factor": [1.0 + 0.1 * i for i in range(pairs)],
        "long_factor": [1.5 + 0.7 * i for i in range(pairs)],
        "original_max_position_embeddings": 32,
    }


# name: (model_type, what differs from BASE)
VARIANTS = {
    "llama-dynamic": ("llama", {"rope_parameters": DYNAMIC, "max_position_embeddings": 24}),
    "qwen2-tied": ("qwen2", {"tie_word_embeddings": True, "rope_parameters": YARN}),
    "qwen2-window-hub": (
        "qwen2",
        {"use_sliding_window": True, "sliding_window": 9, "max_window_layers": 1, "layer_types": None},
    ),
    "qwen3-wide-heads-hub": ("qwen3", {"head_dim": 16, "num_key_value_heads": 2, "rope_parameters": PLAIN}),
    "qwen3-bias": ("qwen3", {"head_dim": 10, "attention_bias": True, "tie_word_embeddings": True}),
    "mistral-window-hub": ("mistral", {"sliding_window": 7, "head_dim": 12}),
    "mistral-no-window": ("mistral", {"sliding_window": None, "num_key_value_heads": 1}),
    "ministral3-yarn": (
        "ministral3",
        {
            "head_dim": 12,
            "rope_parameters": {
                **YARN,
                "mscale": 1.0,
                "mscale_all_dim": 1.0,
                "beta_fast": 32.0,
                "beta_slow": 1.0,
                "llama_4_scaling_beta": 0.3,
            },
        },
    ),
    "mistral3-wrapped": (
        "mistral3",
        {
            "text_config": {"model_type": "mistral", "head_dim": 12, "sliding_window": None, "rope_parameters": PLAIN},
            "tie_word_embeddings": False,
        },
    ),
    "mistral3-wrapped-ministral3": (
        "mistral3",
        {
            "text_config": {
                "model_type": "ministral3",
                "head_dim": 10,
                "rope_parameters": {**YARN, "mscale": 1.0, "mscale_all_dim": 1.0, "llama_4_scaling_beta": 0.2},
            },
            "tie_word_embeddings": True,
        },
    ),
    "smollm3-no-ropes": ("smollm3", {"no_rope_layers": [0, 1, 0], "tie_word_embeddings": False}),
    "smollm3-interval-hub": ("smollm3", {"no_rope_layer_interval": 2, "attention_bias": True}),
    "phi3-full": ("phi3", {"rope_parameters": PLAIN, "sliding_window": 11, "tie_word_embeddings": True}),
    "phi3-partial-longrope-hub": (
        "phi3",
        {
            "hidden_size": 96,
            "rope_parameters": {**longrope(4), "partial_rotary_factor": 0.5},
            "original_max_position_embeddings": 32,
        },
    ),
    "granite-hub": (
        "granite",
        {
            "embedding_multiplier": 7.0,
            "logits_scaling": 3.0,
            "residual_multiplier": 0.3,
            "attention_multiplier": 0.2,
            "attention_bias": True,
            "mlp_bias": True,
        },
    ),
    "granite4-no-rope": (
        "granitemoehybrid",
        {
            "layer_types": ["attention"] * 3,
            "num_local_experts": 0,
            "num_experts_per_tok": 0,
            "mamba_n_heads": 12,
            "mamba_d_head": 8,
            "shared_intermediate_size": 56,
            "position_embedding_type": "nope",
            "embedding_multiplier": 2.0,
            "attention_multiplier": 0.4,
            "residual_multiplier": 0.5,
            "logits_scaling": 2.0,
        },
    ),
    "granite4-rope": (
        "granitemoehybrid",
        {
            "layer_types": ["attention"] * 3,
            "num_local_experts": 0,
            "num_experts_per_tok": 0,
            "mamba_n_heads": 12,
            "mamba_d_head": 8,
            "shared_intermediate_size": 64,
            "position_embedding_type": "rope",
            "attention_multiplier": 0.3,
        },
    ),
    "hunyuan-alpha": (
        "hunyuan_v1_dense",
        {"head_dim": 14, "rope_parameters": {"rope_type": "dynamic", "rope_theta": 9000.0, "alpha": 6.0, "factor": 1.0}},
    ),
    "hunyuan-plain": ("hunyuan_v1_dense", {"head_dim": 8, "attention_bias": True, "tie_word_embeddings": False}),
    "ernie4_5-bias": ("ernie4_5", {"head_dim": 12, "use_bias": True, "tie_word_embeddings": False}),
    "ernie4_5-tied-hub": ("ernie4_5", {"head_dim": 8, "tie_word_embeddings": True, "rope_parameters": PLAIN}),
    "olmo2-hub": ("olmo2", {"num_key_value_heads": 2, "attention_bias": True, "rms_norm_eps": 1e-3}),
    "olmo3-window-hub": ("olmo3", {"sliding_window": 8, "layer_types": MIXED}),
    "olmo3-yarn": ("olmo3", {"sliding_window": 5, "layer_types": MIXED, "rope_parameters": {"full_attention": YARN, "sliding_attention": PLAIN}}),
    "exaone4-mixed": ("exaone4", {"sliding_window": 6, "layer_types": MIXED, "head_dim": 12, "rope_parameters": LLAMA3}),
    "exaone4-full": ("exaone4", {"sliding_window": None, "sliding_window_pattern": None, "layer_types": ["full_attention"] * 3}),
    "gemma2-caps-hub": (
        "gemma2",
        {
            "head_dim": 12,
            "query_pre_attn_scalar": 20,
            "sliding_window": 6,
            "attn_logit_softcapping": 3.0,
            "final_logit_softcapping": 5.0,
        },
    ),
    "gemma2-no-caps": (
        "gemma2",
        {"head_dim": 8, "sliding_window": 64, "attn_logit_softcapping": None, "final_logit_softcapping": None},
    ),
    "gemma2-plain": ("gemma2", {"head_dim": 12, "query_pre_attn_scalar": 12, "sliding_window": 6}),
    "gemma3-plain": ("gemma3_text", {"num_hidden_layers": 6, "head_dim": 16, "query_pre_attn_scalar": 16, "sliding_window": 7}),
    "gemma3-pattern": (
        "gemma3_text",
        {
            "head_dim": 16,
            "query_pre_attn_scalar": 40,
            "sliding_window": 7,
            "layer_types": ["sliding_attention", "sliding_attention", "full_attention"],
            "rope_parameters": TWO_ROPES,
        },
    ),
    "gemma3-caps-bias": (
        "gemma3_text",
        {
            "head_dim": 8,
            "sliding_window": 5,
            "attention_bias": True,
            "attn_logit_softcapping": 4.0,
            "final_logit_softcapping": 6.0,
            "layer_types": MIXED,
        },
    ),
    "gemma3-wrapped": (
        "gemma3",
        {
            "text_config": {
                "model_type": "gemma3_text",
                "num_hidden_layers": 6,
                "head_dim": 12,
                "query_pre_attn_scalar": 12,
                "sliding_window": 7,
            },
            "mm_tokens_per_image": 4,
        },
    ),
    "gemma4-wrapped-experts": (
        "gemma4",
        {
            "text_config": {
                "model_type": "gemma4_text",
                "layer_types": ["sliding_attention", "sliding_attention", "full_attention"],
                "head_dim": 8,
                "global_head_dim": 16,
                "num_global_key_value_heads": 2,
                "attention_k_eq_v": True,
                "num_kv_shared_layers": 0,
                "hidden_size_per_layer_input": 0,
                "sliding_window": 7,
                "enable_moe_block": True,
                "num_experts": 5,
                "top_k_experts": 2,
                "moe_intermediate_size": 16,
            },
            "audio_config": None,
        },
    ),
    "gemma4-shared": (
        "gemma4_text",
        {
            "num_hidden_layers": 4,
            "layer_types": ["sliding_attention", "full_attention", "sliding_attention", "full_attention"],
            "head_dim": 8,
            "global_head_dim": 24,
            "num_kv_shared_layers": 2,
            "hidden_size_per_layer_input": 10,
            "vocab_size_per_layer_input": 120,
            "use_double_wide_mlp": True,
            "sliding_window": 6,
            "final_logit_softcapping": 8.0,
        },
    ),
    "gemma4-equal-kv": (
        "gemma4_text",
        {
            "num_hidden_layers": 3,
            "layer_types": ["sliding_attention", "sliding_attention", "full_attention"],
            "head_dim": 8,
            "global_head_dim": 16,
            "num_global_key_value_heads": 2,
            "attention_k_eq_v": True,
            "num_kv_shared_layers": 0,
            "hidden_size_per_layer_input": 0,
            "sliding_window": 7,
        },
    ),
    "gemma4-experts": (
        "gemma4_text",
        {
            "num_hidden_layers": 3,
            "layer_types": ["sliding_attention", "sliding_attention", "full_attention"],
            "head_dim": 8,
            "global_head_dim": 16,
            "num_global_key_value_heads": 2,
            "attention_k_eq_v": True,
            "num_kv_shared_layers": 0,
            "hidden_size_per_layer_input": 0,
            "sliding_window": 7,
            "enable_moe_block": True,
            "num_experts": 6,
            "top_k_experts": 3,
            "moe_intermediate_size": 20,
            "final_logit_softcapping": 6.0,
        },
    ),
    "gemma4-experts-inputs": (
        "gemma4_text",
        {
            "num_hidden_layers": 4,
            "layer_types": ["sliding_attention", "full_attention", "sliding_attention", "full_attention"],
            "head_dim": 8,
            "global_head_dim": 12,
            "num_kv_shared_layers": 2,
            "hidden_size_per_layer_input": 6,
            "vocab_size_per_layer_input": 120,
            "sliding_window": 9,
            "enable_moe_block": True,
            "num_experts": 5,
            "top_k_experts": 1,
            "moe_intermediate_size": 16,
        },
    ),
    "glm4-half": ("glm4", {"head_dim": 12, "rope_parameters": partial(0.5), "attention_bias": True}),
    "glm4-whole": ("glm4", {"head_dim": 8, "rope_parameters": partial(1.0), "attention_bias": False}),
    "cohere2-hub": ("cohere2", {"head_dim": 8, "sliding_window": 6, "layer_types": MIXED, "logit_scale": 0.3}),
    "cohere2-bias": ("cohere2", {"attention_bias": True, "layer_types": ["full_attention"] * 3, "logit_scale": 2.0}),
    "starcoder2-window": ("starcoder2", {"sliding_window": 6, "use_bias": True, "tie_word_embeddings": True}),
    "starcoder2-no-bias": ("starcoder2", {"sliding_window": None, "use_bias": False, "tie_word_embeddings": False}),
    "stablelm-parallel": (
        "stablelm",
        {"use_parallel_residual": True, "qk_layernorm": True, "rope_parameters": partial(0.5), "use_qkv_bias": True},
    ),
    "stablelm-sequential": ("stablelm", {"qk_layernorm": True, "rope_parameters": partial(0.25), "hidden_act": "gelu"}),
    "nemotron-half": ("nemotron", {"rope_parameters": partial(0.5), "attention_bias": True, "mlp_bias": True}),
    "nemotron-whole": ("nemotron", {"head_dim": 8, "rope_parameters": partial(1.0), "tie_word_embeddings": True}),
    "gpt_neox-parallel": ("gpt_neox", {"use_parallel_residual": True, "rope_parameters": partial(0.25)}),
    "gpt_neox-sequential": (
        "gpt_neox",
        {"use_parallel_residual": False, "rope_parameters": partial(1.0), "attention_bias": False},
    ),
    "nanochat-cap": ("nanochat", {"head_dim": 8, "final_logit_softcapping": 4.0, "rope_parameters": PLAIN}),
    "qwen3_moe-sparse": (
        "qwen3_moe",
        {
            "head_dim": 12,
            "num_experts": 6,
            "num_experts_per_tok": 2,
            "moe_intermediate_size": 20,
            "decoder_sparse_step": 2,
            "norm_topk_prob": True,
            "mlp_only_layers": [],
        },
    ),
    "qwen3_moe-all": (
        "qwen3_moe",
        {"head_dim": 8, "num_experts": 5, "num_experts_per_tok": 3, "moe_intermediate_size": 24, "norm_topk_prob": False, "mlp_only_layers": [1]},
    ),
    "qwen3_moe-plain": (
        "qwen3_moe",
        {"head_dim": 8, "num_experts": 6, "num_experts_per_tok": 2, "moe_intermediate_size": 24, "norm_topk_prob": True},
    ),
    "olmoe-plain": ("olmoe", {"num_experts": 6, "num_experts_per_tok": 2, "norm_topk_prob": False}),
    "olmoe-clip": ("olmoe", {"num_experts": 6, "num_experts_per_tok": 2, "norm_topk_prob": False, "clip_qkv": 0.8}),
    "olmoe-renormalised": ("olmoe", {"num_experts": 4, "num_experts_per_tok": 3, "norm_topk_prob": True, "num_key_value_heads": 6}),
    "gpt_oss-windows": (
        "gpt_oss",
        {"head_dim": 8, "num_local_experts": 5, "num_experts_per_tok": 2, "sliding_window": 6, "layer_types": MIXED},
    ),
    "granitemoe": (
        "granitemoe",
        {
            "num_local_experts": 5,
            "num_experts_per_tok": 2,
            "embedding_multiplier": 3.0,
            "logits_scaling": 2.0,
            "residual_multiplier": 0.4,
            "attention_multiplier": 0.3,
        },
    ),
    "granitemoe-tied-hub": (
        "granitemoe",
        {
            "num_local_experts": 3,
            "num_experts_per_tok": 1,
            "tie_word_embeddings": True,
            "rope_parameters": PLAIN,
            "attention_multiplier": 0.5,
        },
    ),
    "granitemoeshared-both": (
        "granitemoeshared",
        {
            "num_local_experts": 6,
            "num_experts_per_tok": 3,
            "shared_intermediate_size": 28,
            "embedding_multiplier": 1.5,
            "logits_scaling": 3.0,
            "residual_multiplier": 0.6,
            "attention_multiplier": 0.4,
        },
    ),
    "granitemoeshared-none": (
        "granitemoeshared",
        {"num_local_experts": 4, "num_experts_per_tok": 4, "attention_multiplier": 0.4},
    ),
    "granitemoehybrid-experts": (
        "granitemoehybrid",
        {
            "layer_types": ["attention"] * 3,
            "num_local_experts": 4,
            "num_experts_per_tok": 2,
            "shared_intermediate_size": 40,
            "position_embedding_type": "rope",
            "residual_multiplier": 0.5,
            "mamba_n_heads": 12,
            "mamba_d_head": 8,
        },
    ),
}

# What a GGUF file has no word for, so that one made of these is another model, in llama.cpp as here. Names without a hyphen
# are fixtures of the tests.
NOT_IN_GGUF = {
    "gemma2": "query_pre_attn_scalar",
    "gemma3": "query_pre_attn_scalar",
    "gpt_oss": "swiglu_limit",
    "mistral_sliding": "the window",
    "nemotron": "a part of heads that are not hidden_size / num_attention_heads wide",
    "olmoe": "clip_qkv",
    "smollm3_nope": "which layers have no RoPE",
    "starcoder2": "the window",
    "cohere2-hub": "which layers have a window",
    "gemma2-caps-hub": "query_pre_attn_scalar",
    "gemma3-pattern": "query_pre_attn_scalar, which layers have a window",
    "gpt_neox-sequential": "rope_theta",
    "granite4-no-rope": "that no layer has RoPE",
    "gemma3_wrapper": "query_pre_attn_scalar",
    "llama-dynamic": "dynamic RoPE",
    "llama_rope_dynamic": "dynamic RoPE",
    "mistral-window-hub": "the window",
    "olmoe-clip": "clip_qkv",
    "olmoe-renormalised": "norm_topk_prob",
    "qwen2-window-hub": "the window",
    "smollm3-interval-hub": "which layers have no RoPE",
    "smollm3-no-ropes": "which layers have no RoPE",
    "starcoder2-window": "the window",
}


def randomise(model):
    """Values at which everything in the model matters."""
    import torch

    draw = torch.Generator().manual_seed(5)
    for name, p in list(model.named_parameters()) + [(n, b) for n, b in model.named_buffers() if n.endswith("layer_scalar")]:
        noise = torch.randn(p.shape, generator=draw)
        if p.ndim >= 2:
            scale = 0.6 if "embed" in name or "wte" in name else 1.5 / p.shape[-1] ** 0.5
            p.data = scale * noise
        else:
            p.data = p.data + 0.3 * noise


def as_on_the_hub(settings):
    """`rope_parameters` said by the keys of Transformers 4."""
    rope = settings.pop("rope_parameters", None)
    if not rope:
        return
    if "full_attention" in rope or "sliding_attention" in rope:
        local = rope.get("sliding_attention") or {}
        rope = rope.get("full_attention") or local
        if "rope_local_base_freq" not in settings and settings["model_type"].startswith("gemma3"):
            settings["rope_local_base_freq"] = local.get("rope_theta")
    settings["rope_theta"] = rope.pop("rope_theta", 10000.0)
    if "partial_rotary_factor" in rope:
        settings["partial_rotary_factor"] = rope.pop("partial_rotary_factor")
    if rope.get("rope_type", "default") != "default":
        rope["type"] = rope.pop("rope_type")
        rope.pop("original_max_position_embeddings", None) if rope["type"] == "longrope" else None
        settings["rope_scaling"] = rope


def write(name, out):
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText

    model_type, changes = VARIANTS[name]
    settings = {**BASE, **changes}
    auto = AutoModelForCausalLM
    if "text_config" in changes:
        auto = AutoModelForImageTextToText
        settings = {**changes, "text_config": {**BASE, **changes["text_config"]}, "vision_config": EYES[model_type]}
    config = AutoConfig.for_model(model_type, **{k: v for k, v in settings.items()})
    torch.manual_seed(0)
    model = auto.from_config(config, attn_implementation="eager").float()
    randomise(model)
    model.tie_weights()
    place = out / name
    model.save_pretrained(place)
    (place / "generation_config.json").unlink(missing_ok=True)
    if name.endswith("-hub"):
        file = place / "config.json"
        written = json.loads(file.read_text())
        as_on_the_hub(written)
        file.write_text(json.dumps(written, indent=2) + "\n")


def main():
    out = pathlib.Path(sys.argv[1])
    wanted = sys.argv[2:]
    for name in VARIANTS:
        if not wanted or any(name.startswith(w) for w in wanted):
            try:
                write(name, out)
            except Exception as problem:
                print(f"{name}: {type(problem).__name__}: {problem}")


if __name__ == "__main__":
    main()
