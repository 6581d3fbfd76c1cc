# SPDX-License-Identifier: Apache-2.0
"""Child: the sample task with TRL's SFTTrainer over PEFT, on the same rows, model and settings.

Only tokens of rows count, not padding, as inlay counts them.
"""

import json
import tempfile
from importlib.metadata import version
from pathlib import Path

import torch
from datasets import Dataset
from peft import LoraConfig
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
from trl import SFTConfig, SFTTrainer

from child import Laps, answer, pin_torch, task


class CountingTrainer(SFTTrainer):
    """Remembers how many tokens the steps since the last lap had."""

    tokens = 0

    def training_step(self, model, inputs, *args, **kwargs):
        self.tokens += int(inputs["attention_mask"].sum())
        return super().training_step(model, inputs, *args, **kwargs)


class LapCallback(TrainerCallback):
    def __init__(self):
        self.laps, self.trainer = Laps(), None

    def on_step_begin(self, args, state, control, **kwargs):
        if state.global_step == 0:
            self.laps.begin()

    def on_step_end(self, args, state, control, **kwargs):
        self.laps.lap(self.trainer.tokens)
        self.trainer.tokens = 0


def trainer(settings, steps, folder):
    file = Path(settings["gguf"])
    model = AutoModelForCausalLM.from_pretrained(
        file.parent, gguf_file=file.name,
        dtype=torch.bfloat16 if settings["dtype"] == "bf16" else torch.float32)
    # The blocks were widened while loading, but the model still calls itself quantised.
    model.is_quantized, model.hf_quantizer = False, None
    model.config.quantization_config = None
    rows = [json.loads(line) for line in Path(settings["rows"]).read_text().splitlines()]
    config = SFTConfig(
        output_dir=folder, max_steps=steps, per_device_train_batch_size=settings["batch"],
        learning_rate=2e-3, lr_scheduler_type="cosine", warmup_steps=5, max_length=512,
        logging_steps=1, report_to=[], save_strategy="no", use_cpu=True, disable_tqdm=True,
        bf16=settings["dtype"] == "bf16", gradient_checkpointing=False,
        dataloader_pin_memory=False)
    lora = LoraConfig(r=settings["rank"], lora_alpha=2 * settings["rank"],
                      target_modules="all-linear", task_type="CAUSAL_LM")
    callback = LapCallback()
    made = CountingTrainer(
        model=model, args=config, train_dataset=Dataset.from_list(rows), peft_config=lora,
        processing_class=AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name),
        callbacks=[callback])
    callback.trainer = made
    return made, callback.laps


def main():
    asked = task()
    pin_torch()
    with tempfile.TemporaryDirectory() as folder:
        made, laps = trainer(asked["settings"], asked["steps"] + 1, folder)
        made.train()
    names = ("trl", "peft", "transformers", "torch")
    answer(laps.wall[1:], laps.cpu[1:], " ".join(f"{name} {version(name)}" for name in names))


if __name__ == "__main__":
    main()
