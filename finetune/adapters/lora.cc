// SPDX-License-Identifier: Apache-2.0
#include "finetune/adapters/lora.h"

#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/ops/elementwise.h"
#include "core/ops/shape.h"

namespace inlay {
namespace {

/// How the factors start: as PEFT, A uniform in +-1/sqrt(in) and B zero (kDefault); A normal with
/// deviation 1/rank and B zero (kGaussian); or both random, so that the start is not the base
/// (kRandom, `init_lora_weights: false`).
enum class LoraInit { kDefault, kGaussian, kRandom };

LoraInit init_of(const PeftConfig& config) {
  if (const bool* flag = std::get_if<bool>(&config.init_lora_weights)) {
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

// PEFT writes alpha as an integer where it is one.
nlohmann::ordered_json number(double value) {
  if (value == std::floor(value) && std::abs(value) < 1e15) {
    return static_cast<i64>(value);
  }
  return value;
}

void write_keys(const PeftConfig& config, nlohmann::ordered_json& json) {
  json["r"] = config.r;
  json["lora_alpha"] = number(config.lora_alpha);
  json["lora_dropout"] = config.lora_dropout;
  json["use_rslora"] = config.use_rslora;
  json["use_dora"] = config.use_dora;
  std::visit([&](const auto& v) { json["init_lora_weights"] = v; }, config.init_lora_weights);
  json["loftq_config"] = nlohmann::ordered_json::object();
  json["megatron_config"] = nullptr;
  json["megatron_core"] = "megatron.core";
  json["rank_pattern"] = nlohmann::ordered_json::object();
  for (const auto& [pattern, rank] : config.rank_pattern) {
    json["rank_pattern"][pattern] = rank;
  }
  json["alpha_pattern"] = nlohmann::ordered_json::object();
  for (const auto& [pattern, alpha] : config.alpha_pattern) {
    json["alpha_pattern"][pattern] = number(alpha);
  }
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
  method.linear_tensors = {"lora_A.weight", "lora_B.weight"};
  method.embedding_tensors = {"lora_embedding_A", "lora_embedding_B"};
  method.write_keys = write_keys;
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

Tensor LoraTableUpdate::apply(const Tensor& rows, std::span<const i32> ids) const {
  const Tensor update = linear(gather_columns(lora_a_, ids), lora_b_);
  return add(inlay::scale(update, static_cast<float>(scale_)), rows);
}

std::vector<NamedTensor> LoraTableUpdate::tensors() const {
  return {{"lora_embedding_A", lora_a_}, {"lora_embedding_B", lora_b_}};
}

}  // namespace inlay
