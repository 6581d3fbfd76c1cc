# SPDX-License-Identifier: Apache-2.0
"""Makes the files of this folder: finished adapters as PEFT saves them, or as other programs and older versions did,
and the logits of PEFT with them loaded. Run in this folder with torch, transformers 5.24 and peft 0.21."""

import json
import tempfile
import warnings
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

warnings.filterwarnings("ignore")
torch.set_num_threads(1)
HERE = Path(__file__).resolve().parent
IDS = [3, 1, 4, 15, 9, 22, 5, 13, 8, 2, 0, 23]
EMBEDDING = "base_model.model.model.embed_tokens"
HEAD = "base_model.model.lm_head"


def shifted(model):
    """Norms and biases that are not all one and zero."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "bias" in name or "norm" in name or "ln_" in name:
                parameter.add_(torch.randn_like(parameter) * 0.1)
    return model.eval()


def llama(tied=False, bias=False):
    torch.manual_seed(0)
    return shifted(LlamaForCausalLM(LlamaConfig(
        vocab_size=24, hidden_size=8, intermediate_size=12, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, head_dim=4, tie_word_embeddings=tied, attention_bias=bias, mlp_bias=bias,
        initializer_range=0.3, bos_token_id=1, eos_token_id=2, max_position_embeddings=32)))


def gpt2():
    torch.manual_seed(0)
    return shifted(GPT2LMHeadModel(GPT2Config(
        vocab_size=24, n_embd=8, n_layer=2, n_head=2, n_positions=32, initializer_range=0.3, bos_token_id=1,
        eos_token_id=2, attn_pdrop=0, resid_pdrop=0, embd_pdrop=0)))


BASES = {"llama": llama, "tied": lambda: llama(tied=True), "biases": lambda: llama(bias=True), "gpt2": gpt2}


def renamed(rename):
    return lambda tensors: {rename(key): value for key, value in tensors.items()}


def changed(change, *keys):
    return lambda tensors: {key: change(value) if key in keys else value for key, value in tensors.items()}


def without(key, then):
    def tweak(tensors):
        tensors = then(tensors)
        del tensors[key]
        return tensors
    return tweak


def both_tables(tensors):
    table = tensors[EMBEDDING + ".weight"] + 0.05
    return {**tensors, EMBEDDING + ".weight": table, HEAD + ".weight": table.clone()}


def named(key):
    if "lora_A" in key or "lora_B" in key:
        return key.replace(".weight", ".mine.weight")
    return key + ".mine" if "lora_embedding" in key else key


Q = {"target_modules": ["q_proj"]}
SAVE_TABLES = {"save_embedding_layers": True}

# name: (base, LoraConfig, {save: arguments of save_pretrained, tensors: change of the saved tensors, config: change of
# the saved config, logits: "as_saved" where PEFT would not take the tensors})
CASES = {
    # modules_to_save
    "head_targeted_and_saved": ("llama", {"target_modules": ["q_proj", "lm_head"], "modules_to_save": ["lm_head"]}, {}),
    "saved_container": ("llama", {**Q, "modules_to_save": ["mlp"]}, {}),
    "saved_norms": ("llama", {**Q, "modules_to_save": ["norm"]}, {}),
    "saved_tied_embedding": ("tied", {**Q, "modules_to_save": ["embed_tokens"]}, {}),
    "saved_tied_head": ("tied", {**Q, "modules_to_save": ["lm_head"]}, {}),
    "saved_conv1d_square": ("gpt2", {"target_modules": ["c_fc"], "modules_to_save": ["attn.c_proj"]}, {}),
    "saved_conv1d": ("gpt2", {"target_modules": ["c_attn"], "modules_to_save": ["mlp.c_proj", "ln_f", "wpe"]}, {}),
    "saved_conv1d_fused": ("gpt2", {"target_modules": ["c_fc"], "modules_to_save": ["c_attn"]}, {}),
    "saved_conv1d_by_end": ("gpt2", {"target_modules": ["c_fc"], "modules_to_save": ["proj"]}, {}),
    "saved_block": ("gpt2", {"target_modules": ["c_attn"], "modules_to_save": ["0"]}, {}),
    "conv1d_dora": ("gpt2", {"target_modules": ["c_attn", "mlp.c_proj"], "use_dora": True}, {}),
    "embedding_dora": ("llama", {"target_modules": ["q_proj", "embed_tokens"], "use_dora": True}, {}),
    "tied_embedding_dora": ("tied", {"target_modules": ["embed_tokens"], "use_dora": True, "use_rslora": True}, {}),
    "embedding_dora_conv1d": ("gpt2", {"target_modules": ["wte", "wpe", "c_fc"], "use_dora": True}, {}),
    # biases
    "bias_all": ("biases", {**Q, "bias": "all"}, {}),
    "bias_lora_only": ("biases", {"target_modules": ["q_proj", "down_proj"], "bias": "lora_only"}, {}),
    "bias_all_conv1d": ("gpt2", {"target_modules": ["c_attn"], "bias": "all"}, {}),
    "bias_all_and_saved": ("gpt2", {"target_modules": ["c_attn"], "bias": "all", "modules_to_save": ["ln_f", "attn.c_proj"]}, {}),
    "bias_lora_only_dora": ("biases", {**Q, "bias": "lora_only", "use_dora": True}, {}),
    "lora_bias": ("biases", {"target_modules": ["q_proj", "up_proj"], "lora_bias": True}, {}),
    "lora_bias_rslora": ("biases", {"target_modules": ["q_proj", "up_proj"], "lora_bias": True, "use_rslora": True}, {}),
    "lora_bias_and_bias": ("biases", {**Q, "lora_bias": True, "bias": "all"}, {}),
    "lora_bias_alone": ("llama", {**Q, "lora_bias": True}, {}),
    # single tokens
    "tokens": ("llama", {**Q, "trainable_token_indices": [1, 3, 23]}, {}),
    "tokens_tied": ("tied", {**Q, "trainable_token_indices": [1, 3, 23]}, {}),
    "tokens_of_both": ("llama", {**Q, "trainable_token_indices": {"embed_tokens": [1, 3], "lm_head": [2]}}, {}),
    "tokens_of_tied_head": ("tied", {**Q, "trainable_token_indices": {"lm_head": [2, 9]}}, {}),
    "tokens_of_both_tied": ("tied", {**Q, "trainable_token_indices": {"embed_tokens": [1, 3], "lm_head": [1, 3]}}, {}),
    "tokens_apart_though_tied": ("tied", {**Q, "trainable_token_indices": {"embed_tokens": [1, 3], "lm_head": [2]}}, {}),
    "tokens_conv1d": ("gpt2", {"target_modules": ["c_attn"], "trainable_token_indices": [1, 3]}, {}),
    "tokens_of_positions": ("gpt2", {"target_modules": ["c_attn"], "trainable_token_indices": {"wpe": [1, 3]}}, {}),
    "tokens_beside_tables": ("llama", {**Q, "trainable_token_indices": [1, 3]}, {"save": SAVE_TABLES}),
    # tables of the base
    "tables": ("llama", Q, {"save": SAVE_TABLES}),
    "tables_tied": ("tied", Q, {"save": SAVE_TABLES}),
    "tables_conv1d": ("gpt2", {"target_modules": ["c_attn"]}, {"save": SAVE_TABLES}),
    "tables_and_saved": ("llama", {**Q, "modules_to_save": ["embed_tokens"]}, {"save": SAVE_TABLES}),
    "tables_and_saved_tied": ("tied", {**Q, "modules_to_save": ["embed_tokens"]}, {"save": SAVE_TABLES}),
    "own_embedding": ("llama", Q, {"save": SAVE_TABLES, "tensors": changed(lambda t: t + 0.05, EMBEDDING + ".weight")}),
    "own_head": ("llama", Q, {"save": SAVE_TABLES, "tensors": changed(lambda t: t * 1.1, HEAD + ".weight")}),
    "own_tied_tables": ("tied", Q, {"save": SAVE_TABLES, "tensors": both_tables}),
    "own_tied_embedding": ("tied", Q, {"save": SAVE_TABLES, "tensors": without(HEAD + ".weight", both_tables)}),
    "own_tied_head": ("tied", Q, {"save": SAVE_TABLES, "tensors": without(EMBEDDING + ".weight", both_tables)}),
    "own_table_under_factors": ("llama", {"target_modules": ["q_proj", "embed_tokens"]},
                                {"tensors": changed(lambda t: t + 0.05, EMBEDDING + ".base_layer.weight")}),
    "own_tied_table_under_factors": ("tied", {"target_modules": ["q_proj", "embed_tokens"]},
                                     {"tensors": changed(lambda t: t + 0.05, EMBEDDING + ".base_layer.weight")}),
    # tied in training, too
    "tied_factors": ("tied", {"target_modules": ["q_proj", "embed_tokens"], "ensure_weight_tying": True}, {}),
    "tied_saved": ("tied", {**Q, "modules_to_save": ["embed_tokens"], "ensure_weight_tying": True}, {}),
    "tied_tokens": ("tied", {**Q, "trainable_token_indices": [5], "ensure_weight_tying": True}, {}),
    # which modules
    "layers_and_a_whole_path": ("llama", {"target_modules": ["q_proj", "lm_head", "model.layers.0.self_attn.v_proj"],
                                          "layers_to_transform": [1]}, {}),
    "no_layers": ("llama", {**Q, "layers_to_transform": []}, {}),
    "more_names": ("gpt2", {"target_modules": ["c_attn"]}, {"config": {
        "target_modules": ["q_proj", "c_attn", "query_key_value", "W_pack"], "rank_pattern": {"k_proj": 7},
        "alpha_pattern": {"xx": 3}, "modules_to_save": ["classifier", "score"], "exclude_modules": ["nothing"]}}),
    "family_default": ("llama", {"target_modules": ["q_proj", "v_proj"]}, {"config": {"target_modules": None}}),
    "regex": ("llama", {"target_modules": r".*(self_attn|attention)\.(q_proj|query)|.*\.foo"}, {}),
    "regex_of_every_family": ("llama", {"target_modules": r"(?:.*?(?:language|text).*?(?:self_attn|attn|mlp).*?(?:q_proj|o_proj).*?)"
                                        r"|(?:\bmodel\.layers\.[\d]{1,}\.(?:self_attn|attn|mlp)\.(?:(?:q_proj|up_proj)))"}, {}),
    "regex_looking_ahead": ("llama", {"target_modules": r"^(?!.*lm_head).*layers\.(?P<n>[01])\.self_attn\.[qv]_proj$"}, {}),
    "all_linear_but_some": ("llama", {"target_modules": "all-linear", "exclude_modules": ["down_proj", "0.self_attn.k_proj"]}, {}),
    "excluded_by_regex": ("gpt2", {"target_modules": ["c_attn", "c_fc"], "exclude_modules": r".*\.0\.mlp.*"}, {}),
    "all_linear_but_saved": ("llama", {"target_modules": "all-linear", "modules_to_save": ["down_proj", "embed_tokens"]}, {}),
    "patterns": ("llama", {"target_modules": ["q_proj", "up_proj"], "rank_pattern": {"q_proj": 1, "1.mlp.up_proj": 3},
                           "alpha_pattern": {"^model.layers.0.*": 7, "up_proj": 3}}, {}),
    # how it began
    "orthogonal": ("llama", {"target_modules": ["q_proj", "up_proj"], "init_lora_weights": "orthogonal"}, {}),
    "mica": ("llama", {**Q, "init_lora_weights": "mica"}, {}),
    "gaussian": ("gpt2", {"target_modules": ["c_attn"], "init_lora_weights": "gaussian"}, {}),
    "eva": ("llama", Q, {"config": {"init_lora_weights": "eva", "eva_config": {"rho": 2.0}}}),
    "other_configs_left": ("llama", Q, {"config": {"loftq_config": {"loftq_bits": 4}, "eva_config": {"rho": 2.0}}}),
    "keys_of_old_versions": ("llama", Q, {"config": {"merge_weights": True, "enable_lora": None, "some_new_method": None,
                                                     "runtime_config": {"ephemeral_gpu_offload": False}}}),
    # who wrote it
    "no_prefix": ("llama", Q, {"tensors": renamed(lambda k: k.removeprefix("base_model.model.")), "logits": "as_saved"}),
    "distributed": ("llama", Q, {"tensors": renamed(lambda k: "module." + k), "logits": "as_saved"}),
    "compiled": ("llama", Q, {"tensors": renamed(lambda k: k.replace("base_model.model.", "base_model.model._orig_mod.")),
                              "logits": "as_saved"}),
    "headless": ("llama", Q, {"tensors": renamed(lambda k: k.replace("model.model.model.", "model.model.")), "logits": "as_saved"}),
    "adapter_name": ("llama", {"target_modules": ["q_proj", "embed_tokens"]}, {"tensors": renamed(named), "logits": "as_saved"}),
    "saved_over_factors": ("llama", {"target_modules": ["q_proj", "lm_head"]}, {
        "config": {"modules_to_save": ["lm_head"]}, "logits": "as_saved"}),
    "half_precision": ("biases", {**Q, "bias": "all"}, {"tensors": lambda t: {k: v.half() for k, v in t.items()}}),
    "bf16": ("gpt2", {"target_modules": ["c_attn"], "modules_to_save": ["attn.c_proj"]},
             {"tensors": lambda t: {k: v.bfloat16() for k, v in t.items()}}),
}


def trained(base, config):
    model = get_peft_model(BASES[base](), LoraConfig(**{"r": 2, "lora_alpha": 4, "task_type": "CAUSAL_LM", **config}))
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter) * 0.15)
    return model.eval()


def logits_of(model):
    with torch.no_grad():
        return model(torch.tensor([IDS])).logits[0].clone()


def main():
    cases, tensors = [], {}
    for name, make in BASES.items():
        make().save_pretrained(HERE / name)
        (HERE / name / "generation_config.json").unlink(missing_ok=True)
    for name, (base, config, how) in CASES.items():
        with tempfile.TemporaryDirectory() as folder:
            model = trained(base, config)
            model.save_pretrained(folder, **how.get("save", {}))
            saved = how.get("tensors", lambda t: t)(load_file(folder + "/adapter_model.safetensors"))
            written = json.loads(Path(folder, "adapter_config.json").read_text())
            written = {**written, **how.get("config", {}), "base_model_name_or_path": base}
            if "logits" in how:  # not loadable by this PEFT, or without its tensors: what was saved counts
                expected = logits_of(model)
            else:
                save_file(saved, folder + "/adapter_model.safetensors")
                Path(folder, "adapter_config.json").write_text(json.dumps(written))
                expected = logits_of(PeftModel.from_pretrained(BASES[base](), folder).eval())
        cases.append({"name": name, "base": base, "config": written})
        tensors |= {f"{name}/{key}": value.contiguous() for key, value in saved.items()}
        tensors[name + "/logits"] = expected
    (HERE / "cases.json").write_text(json.dumps({"ids": IDS, "cases": cases}, sort_keys=True) + "\n")
    save_file(tensors, HERE / "adapters.safetensors")


main()
