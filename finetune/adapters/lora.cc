// SPDX-License-Identifier: Apache-2.0
#include "finetune/adapters/lora.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/config/reader.h"
#include "core/error.h"
#include "core/ops/elementwise.h"
#include "core/ops/shape.h"

namespace inlay {
namespace {

/// How the factors start: as PEFT, A uniform in +-1/sqrt(in) and B zero (kDefault); A normal with
/// deviation 1/rank and B zero (kGaussian); or both random, so that the start is not the base
/// (kRandom, `init_lora_weights: false`).
enum class LoraInit { kDefault, kGaussian, kRandom };

LoraInit init_of(const PeftConfig& config) {
  const BoolOrString& how = own_keys<LoraKeys>(config).init_lora_weights;
  if (const bool* flag = std::get_if<bool>(&how)) {
    return *flag ? LoraInit::kDefault : LoraInit::kRandom;
  }
  return LoraInit::kGaussian;  // the only word that a new adapter may have
}

void fill_kaiming(const Tensor& t, RandomKey key) {
  // Kaiming-uniform with a = sqrt(5): the bound is 1 / sqrt(fan in), the last axis.
  const float bound = 1.0F / std::sqrt(static_cast<float>(t.dim(-1)));
  on(t).fill_uniform(t.out(), key, -bound, bound);
}

void start_factors(LoraInit init, RandomKey key, const Tensor& a, const Tensor& b) {
  if (init == LoraInit::kGaussian) {
    on(a).fill_normal(a.out(), key.with("lora_A"), 0.0F, 1.0F / static_cast<float>(a.dim(0)), 0);
  } else {
    fill_kaiming(a, key.with("lora_A"));
  }
  if (init == LoraInit::kRandom) {
    fill_kaiming(b, key.with("lora_B"));
  }
}

// What computes something else than A and B do.
void unsupported_kinds(FieldVisitor& v) {
  v.ignored("qalora_group_size", "has no effect without use_qalora");
  v.neutral("kasa_config", {"null"}, "KaSA is not supported");
  v.neutral("monteclora_config", {"null"}, "MonteCLoRA is not supported");
  v.neutral("arrow_config", {"null"}, "Arrow routing is not supported");
  v.neutral("use_qalora", {"false"}, "QALoRA is not supported");
  v.neutral("use_bdlora", {"null", "false"}, "BD-LoRA is not supported");
  v.neutral("alora_invocation_tokens", {"null"}, "activated LoRA is not supported");
  v.neutral("layer_replication", {"null"}, "replicated layers are not supported");
}

void lora_fields(PeftConfig& config, FieldVisitor& v, AdapterStage stage) {
  BoolOrString& how = own_keys<LoraKeys>(config).init_lora_weights;
  if (stage == AdapterStage::kToTrain) {
    v.choice("init_lora_weights", how, {"gaussian"},
             "true: A uniform, B zero; \"gaussian\": A normal, B zero; false: both random");
    v.neutral("lora_bias", {"false"}, "a bias of lora_B is not supported");
    v.neutral("loftq_config", {"{}", "null"}, "LoftQ is not supported");
    v.neutral("eva_config", {"null"}, "EVA is not supported");
    v.neutral("corda_config", {"null"}, "CorDA is not supported");
    v.neutral("lora_ga_config", {"null"}, "LoRA-GA is not supported");
    v.neutral("velora_config", {"null"}, "VeLoRA is not supported");
  } else {
    v.field("init_lora_weights", how, "how the factors began");
    for (const char* key : {"loftq_config", "eva_config", "corda_config", "lora_ga_config"}) {
      v.ignored(key, "init_lora_weights tells whether it was used");
    }
    v.ignored("velora_config", "changes what backward keeps, not what forward computes");
  }
  v.typed("target_parameters", own_keys<LoraKeys>(config).target_parameters,
          nullable(list_of(type_of_kind(FieldType::Kind::kString))),
          "parameters of all experts of a layer, such as \"gate_up_proj\" and \"down_proj\"");
  unsupported_kinds(v);
}

// How an adapter began is over, unless the base was changed for it.
void check_finished_lora(const PeftConfig& config, Problems& problems) {
  const auto* word = std::get_if<std::string>(&own_keys<LoraKeys>(config).init_lora_weights);
  if (word == nullptr) {
    return;
  }
  const auto is_among = [&](std::initializer_list<std::string_view> words) {
    return std::ranges::find(words, std::string_view(*word)) != words.end();
  };
  if (word->starts_with("pissa") || is_among({"olora", "corda", "loftq", "lora_ga"})) {
    problems.add("/init_lora_weights",
                 str("\"", printable(*word),
                     "\" changed the base's weights when the training began, and the adapter fits "
                     "only the changed ones: save it from PEFT as a plain LoRA adapter "
                     "(save_pretrained with path_initial_model_for_weight_conversion), or merge "
                     "it there"));
  } else if (!is_among({"gaussian", "orthogonal", "eva", "mica"})) {
    problems.add("/init_lora_weights",
                 str("expected true, false, \"gaussian\", \"orthogonal\", \"eva\" or \"mica\", "
                     "found \"",
                     printable(*word), "\""));
  }
}

// PEFT writes alpha as an integer where it is one.
nlohmann::ordered_json alpha_number(double value) {
  if (value == std::floor(value) && std::abs(value) < 1e15) {
    return static_cast<i64>(value);
  }
  return value;
}

void write_lora_keys(const PeftConfig& config, nlohmann::ordered_json& json) {
  json["r"] = config.r;
  json["lora_alpha"] = alpha_number(config.lora_alpha);
  json["lora_dropout"] = config.lora_dropout;
  json["use_rslora"] = config.use_rslora;
  json["use_dora"] = config.use_dora;
  std::visit([&](const auto& v) { json["init_lora_weights"] = v; },
             own_keys<LoraKeys>(config).init_lora_weights);
  json["loftq_config"] = nlohmann::ordered_json::object();
  json["megatron_config"] = nullptr;
  json["megatron_core"] = "megatron.core";
  json["rank_pattern"] = nlohmann::ordered_json::object();
  for (const auto& [pattern, rank] : config.rank_pattern) {
    json["rank_pattern"][pattern] = rank;
  }
  if (!own_keys<LoraKeys>(config).target_parameters.empty()) {
    json["target_parameters"] = own_keys<LoraKeys>(config).target_parameters;
  }
  json["alpha_pattern"] = nlohmann::ordered_json::object();
  for (const auto& [pattern, alpha] : config.alpha_pattern) {
    json["alpha_pattern"][pattern] = alpha_number(alpha);
  }
}

// As PEFT's ParamWrapper: linear layers from in to r E, and from there to out.
ExpertUpdate lora_of_experts(const UpdateSite& site, const ExpertStack& stack) {
  const ExpertStackSpec& spec = stack.spec();
  const i64 ranks = site.rank * spec.experts;
  ExpertUpdate update = {trainable_zeros({ranks, spec.in}), trainable_zeros({spec.out, ranks}),
                         static_cast<float>(lora_scale(site))};
  start_factors(init_of(site.config), site.key.with(site.name), update.a, update.b);
  return update;
}

}  // namespace

AdapterMethod lora_method() {
  AdapterMethod method;
  method.name = "LoRA";
  method.peft_type = "LORA";
  method.linear = [](const UpdateSite& site, const LinearLike& base) {
    return std::unique_ptr<LayerUpdate>(std::make_unique<LoraUpdate>(site, base));
  };
  method.embedding = [](const UpdateSite& site, const EmbeddingLike& base) {
    return std::unique_ptr<TableUpdate>(std::make_unique<LoraTableUpdate>(site, base));
  };
  method.trains_embeddings = true;
  method.experts = lora_of_experts;
  method.linear_tensors = {"lora_A.weight", "lora_B.weight"};
  method.embedding_tensors = {"lora_embedding_A", "lora_embedding_B"};
  method.fields = lora_fields;
  method.check_finished = check_finished_lora;
  method.write_keys = write_lora_keys;
  method.fixed_keys = {"lora_alpha", "use_rslora", "alpha_pattern"};
  return method;
}

double lora_scale(const UpdateSite& site) {
  const auto rank = static_cast<double>(site.rank);
  return site.weight * site.alpha / (site.config.use_rslora ? std::sqrt(rank) : rank);
}

LoraUpdate::LoraUpdate(const UpdateSite& site, const LinearLike& base)
    : name_(site.name),
      scale_(lora_scale(site)),
      dropout_(static_cast<float>(site.config.lora_dropout)),
      lora_a_(trainable_zeros({site.rank, base.in_features()})),
      lora_b_(trainable_zeros({base.out_features(), site.rank})) {
  start_factors(init_of(site.config), site.key.with(name_), lora_a_, lora_b_);
}

void LoraUpdate::add_to(Projection& layer, const LinearLike& /*base*/, const Pass& pass) const {
  LowRankUpdate update = {lora_a_, lora_b_, static_cast<float>(scale_)};
  if (pass.training && dropout_ > 0.0F) {
    update.dropout = dropout_;
    update.dropout_key = pass.dropout.with(name_);
  }
  layer.updates.push_back(std::move(update));
}

Tensor LoraUpdate::merged_rows(const Tensor& rows, i64 begin, const LinearLike& /*base*/) const {
  const Tensor b = lora_b_.slice(0, begin, begin + rows.dim(0)).contiguous();
  return add(rows, inlay::scale(matmul(b, lora_a_), static_cast<float>(scale_)));
}

std::vector<NamedTensor> LoraUpdate::tensors() const {
  return {{"lora_A.weight", lora_a_}, {"lora_B.weight", lora_b_}};
}

LoraTableUpdate::LoraTableUpdate(const UpdateSite& site, const EmbeddingLike& base)
    : scale_(lora_scale(site)),
      lora_a_(trainable_zeros({site.rank, base.rows()})),
      lora_b_(trainable_zeros({base.width(), site.rank})) {
  const RandomKey own = site.key.with(site.name);
  on(lora_b_).fill_normal(lora_b_.out(), own.with("lora_embedding_B"), 0.0F, 1.0F, 0);
  if (init_of(site.config) == LoraInit::kRandom) {
    on(lora_a_).fill_normal(lora_a_.out(), own.with("lora_embedding_A"), 0.0F, 1.0F, 0);
  }
}

Tensor LoraTableUpdate::apply(const Tensor& rows, const Indices& ids, Keep keep) const {
  const Tensor update = linear(gather_columns(lora_a_, ids), lora_b_, {}, WeightLayout::kOutIn,
                               GemmCompute::kF32, keep);
  return add(inlay::scale(update, static_cast<float>(scale_)), rows);
}

std::vector<NamedTensor> LoraTableUpdate::tensors() const {
  return {{"lora_embedding_A", lora_a_}, {"lora_embedding_B", lora_b_}};
}

}  // namespace inlay
