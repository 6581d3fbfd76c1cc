# SPDX-License-Identifier: Apache-2.0
"""Child: training steps with PyTorch + Transformers, PEFT for LoRA, bitsandbytes for QLoRA.

A step is what a trainer does: forward with the loss over every token, backward, clipping by the
global norm, a fused AdamW step.
"""

import tempfile
from importlib.metadata import version

import torch
from transformers import AutoConfig, AutoModelForCausalLM, BitsAndBytesConfig

from child import answer, measure, pin_torch, task
from shapes import MODELS

DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16}


def random_model(keys, dtype):
    keys = dict(keys)
    config = AutoConfig.for_model(keys.pop("model_type"), **keys)
    config.use_cache = False
    return AutoModelForCausalLM.from_config(config, dtype=dtype)


def four_bit(model, dtype):
    """The model in NF4 with double quantisation; bitsandbytes quantises only while loading."""
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        del model
        quantization = BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=dtype)
        return AutoModelForCausalLM.from_pretrained(
            folder, quantization_config=quantization, dtype=dtype, device_map="cpu")


def with_lora(model, settings):
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(r=settings["rank"], lora_alpha=2 * settings["rank"],
                        target_modules="all-linear", task_type="CAUSAL_LM")
    # By default PEFT keeps the factors in f32; in the base's type a bf16 step is faster.
    keep = settings.get("adapter_dtype", "base") == "base"
    return get_peft_model(model, config, autocast_adapter_dtype=not keep)


def build(settings):
    dtype = DTYPES[settings["dtype"]]
    model = random_model(MODELS[settings["model"]], dtype)
    if settings["method"] == "qlora":
        model = four_bit(model, dtype)
    if settings["method"] != "full":
        model = with_lora(model, settings)
    return model.train()


def main():
    asked = task()
    pin_torch()
    settings = asked["settings"]
    torch.manual_seed(0)
    model = build(settings)
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=2e-4, weight_decay=0.0, fused=True)
    shape = (settings["batch"], settings["length"])
    vocabulary = MODELS[settings["model"]]["vocab_size"]

    def step():
        ids = torch.randint(0, vocabulary, shape)
        loss = model(input_ids=ids, labels=ids, use_cache=False).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        assert torch.isfinite(loss).item()

    packages = ["torch", "transformers"]
    packages += {"lora": ["peft"], "qlora": ["peft", "bitsandbytes"], "full": []}[settings["method"]]
    laps = measure(step, shape[0] * shape[1], asked["steps"])
    answer(laps.wall, laps.cpu, " ".join(f"{name} {version(name)}" for name in packages),
           trainable=sum(p.numel() for p in trained))


if __name__ == "__main__":
    main()
