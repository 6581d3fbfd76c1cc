# SPDX-License-Identifier: Apache-2.0
"""What is measured: the models' shapes (Hugging Face keys, random weights) and the cases."""

from dataclasses import asdict, dataclass, field

MODELS = {
    "smollm2-135m": {
        "model_type": "llama",
        "vocab_size": 49152,
        "hidden_size": 576,
        "intermediate_size": 1536,
        "num_hidden_layers": 30,
        "num_attention_heads": 9,
        "num_key_value_heads": 3,
        "max_position_embeddings": 8192,
        "rope_theta": 100000.0,
        "rms_norm_eps": 1e-5,
        "tie_word_embeddings": True,
    },
    "gpt2-124m": {
        "model_type": "gpt2",
        "vocab_size": 50257,
        "n_positions": 1024,
        "n_embd": 768,
        "n_layer": 12,
        "n_head": 12,
        "resid_pdrop": 0.0,
        "embd_pdrop": 0.0,
        "attn_pdrop": 0.0,
    },
}


@dataclass
class Case:
    """One row of the table. `kind` names what both sides do, `settings` with which sizes."""

    name: str
    kind: str  # train | sample | attention | gemm | generate
    unit: str
    settings: dict = field(default_factory=dict)

    def as_dict(self):
        return asdict(self)


def _train(name, model, batch, length, dtype, method, share, compute=None):
    # `share` of the peer's peak is what inlay may use (None: what it likes): it recomputes as
    # little as that allows.
    settings = dict(model=model, batch=batch, length=length, dtype=dtype, method=method, rank=8,
                    memory_share=share, compute=compute or dtype)
    return Case(name, "train", "tokens/s", settings)


def _attention(length, dtype):
    # 9 heads over 3, as SmolLM2 has them; the batch keeps a call over some milliseconds.
    settings = dict(batch=max(1, 2048 // length), length=length, heads=9, kv_heads=3, head_dim=64)
    return Case(f"attention {length} {dtype}", "attention", "GFLOP/s", dict(settings, dtype=dtype))


def _gemm(rows, inner, columns, dtype):
    # y [rows, columns] = x [rows, inner] W [columns, inner]^T, as a linear layer has it.
    settings = dict(rows=rows, inner=inner, columns=columns, dtype=dtype)
    return Case(f"gemm {rows}x{inner}x{columns} {dtype}", "gemm", "GFLOP/s", settings)


def _generate(phase, unit_of_work):
    return Case(f"{phase} Q4_1", "generate", "tokens/s", dict(phase=phase, tokens=unit_of_work))


CASES = [
    _train("LoRA f32", "smollm2-135m", 4, 512, "f32", "lora", 1 / 4),
    _train("LoRA bf16", "smollm2-135m", 4, 512, "bf16", "lora", 1 / 5),
    _train("LoRA int8", "smollm2-135m", 4, 512, "bf16", "lora", None, compute="int8"),
    _train("QLoRA f32", "smollm2-135m", 4, 512, "f32", "qlora", 1 / 5),
    _train("QLoRA bf16", "smollm2-135m", 4, 512, "bf16", "qlora", 1 / 6),
    _train("full GPT-2 f32", "gpt2-124m", 4, 256, "f32", "full", 1 / 2),
    *[Case(f"sample task {d}", "sample", "tokens/s", dict(dtype=d, rank=16, batch=4))
      for d in ("f32", "bf16")],
    *[_attention(length, d) for length in (512, 2048, 8192) for d in ("f32", "bf16")],
    *[_gemm(2048, k, n, d) for d in ("f32", "bf16")
      for k, n in ((576, 576), (576, 192), (576, 1536), (1536, 576), (576, 49152), (768, 3072))],
    _generate("prompt", 512),
    _generate("decode", 64),
]


def attention_flops(settings):
    """Useful operations of forward (4 D a seen pair and head) and backward (10 D), causal."""
    pairs = settings["length"] * (settings["length"] + 1) / 2
    return 14 * settings["head_dim"] * settings["heads"] * settings["batch"] * pairs


def gemm_flops(settings):
    return 2 * settings["rows"] * settings["inner"] * settings["columns"]
