// SPDX-License-Identifier: Apache-2.0
#include "quant/foreign_formats.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "core/io/file_system.h"
#include "core/tensor/dense_format.h"

namespace inlay {
namespace {

struct Claim {
  std::string method;  // "gptq"
  std::string where;   // the file, or the file and its key
};

// Parts of tensors that only one program's layers have.
struct Mark {
  std::string_view ending;
  std::string_view method;
};
constexpr Mark kMarks[] = {
    {".qweight", "gptq or awq"},
    {".weight_packed", "compressed-tensors"},
    {".weight_scale_inv", "fp8"},
    {".weight_scale", "fp8"},
    {".SCB", "bitsandbytes in 8 bits"},
    {".q_weight", "exl2"},
    {".trellis", "exl3"},
    {".W_q", "hqq"},
    {".codebooks", "aqlm"},
    {".weight._data", "quanto"},
    {"_blocks", "mxfp4"},
    {".scales", "mlx"},
};

// MXFP4 as gpt-oss has it is read as it is: its blocks with a scale beside each.
bool is_read(const SafetensorsModel& model, const TensorEntry& entry) {
  constexpr std::string_view kBlocks = "_blocks";
  if (!entry.name.ends_with(kBlocks)) {
    return false;
  }
  const std::string scales = entry.name.substr(0, entry.name.size() - kBlocks.size()) + "_scales";
  return model.find(scales) != nullptr;
}

const TensorEntry* marked(const SafetensorsModel& model, std::string_view& method) {
  for (const Mark& mark : kMarks) {
    for (const TensorEntry* entry : model.entries()) {
      if (entry->name.ends_with(mark.ending) && !is_read(model, *entry)) {
        method = mark.method;
        return entry;
      }
    }
  }
  return nullptr;
}

bool has_four_bit(const SafetensorsModel& model) {
  return std::ranges::any_of(model.entries(), [](const TensorEntry* entry) {
    return entry->name.find(".quant_state.bitsandbytes__") != std::string::npos;
  });
}

bool has_mxfp4(const SafetensorsModel& model) {
  return std::ranges::any_of(model.entries(),
                             [&](const TensorEntry* entry) { return is_read(model, *entry); });
}

// A weight in a type that no dense layer has: integers, 8-bit floats.
const TensorEntry* not_a_float(const SafetensorsModel& model) {
  for (const TensorEntry* entry : model.entries()) {
    const bool is_dense = entry->dtype && dense_format(*entry->dtype);
    if (entry->name.ends_with(".weight") && !is_dense) {
      return entry;
    }
  }
  return nullptr;
}

std::optional<Claim> claim_of(const std::string& folder, const HfConfig& config) {
  for (const char* key : {"quantization_config", "compression_config"}) {
    if (const std::optional<HfConfig> group = config.object(key)) {
      const bool bits = group->has("load_in_4bit") || group->has("load_in_8bit");
      const char* usual = key[0] == 'c' ? "compressed-tensors"
                          : bits        ? "bitsandbytes"
                                        : "a method it does not name";
      return Claim{group->text("quant_method", usual), str(config.file(), ": /", key)};
    }
  }
  if (config.has("quantization")) {
    return Claim{"mlx", config.file() + ": /quantization"};
  }
  constexpr std::pair<const char*, const char*> kFiles[] = {{"quantize_config.json", "gptq"},
                                                            {"quant_config.json", "awq"},
                                                            {"hf_quant_config.json", "modelopt"}};
  for (const auto& [name, method] : kFiles) {
    if (is_file(join_path(folder, name))) {
      return Claim{method, join_path(folder, name)};
    }
  }
  return {};
}

// What bitsandbytes' settings say of the 4-bit type, against the tensors' own.
std::optional<std::string> type_notice(const HfConfig& config, const SafetensorsModel& model) {
  const std::optional<HfConfig> group = config.object("quantization_config");
  if (!group || !group->has("bnb_4bit_quant_type")) {
    return {};
  }
  const std::string type = group->text("bnb_4bit_quant_type");
  for (const TensorEntry* entry : model.entries()) {
    constexpr std::string_view kState = ".quant_state.bitsandbytes__";
    const std::size_t at = entry->name.find(kState);
    if (at != std::string::npos && entry->name.substr(at + kState.size()) != type) {
      return str(config.file(), ": /quantization_config/bnb_4bit_quant_type: \"", printable(type),
                 "\", but \"", printable(entry->name.substr(0, at)), "\" is stored as ",
                 printable(entry->name.substr(at + kState.size())), ", and is read so");
    }
  }
  return {};
}

constexpr const char* kInstead =
    ", which cannot be read: use the model it was made from, a GGUF file of it, or a bitsandbytes "
    "4-bit folder";

}  // namespace

std::optional<std::string> check_quantization(const std::string& folder, const HfConfig& config,
                                              const SafetensorsModel& model) {
  std::optional<Claim> claim = claim_of(folder, config);
  if (claim && claim->method == "mxfp4" && has_mxfp4(model)) {
    claim = {};
  }
  std::string_view method;
  const TensorEntry* mark = marked(model, method);
  if (has_four_bit(model) && mark == nullptr) {
    if (claim && claim->method != "bitsandbytes") {
      return str(claim->where, " speaks of ", printable(claim->method),
                 ", but the weights are those of bitsandbytes in 4 bits, and are read so");
    }
    return type_notice(config, model);
  }
  if (claim && (mark != nullptr || not_a_float(model) != nullptr)) {
    const bool eight = claim->method == "bitsandbytes";
    throw DataError(str(claim->where, ": the weights are quantised with ", printable(claim->method),
                        eight ? " in 8 bits" : "", kInstead));
  }
  if (mark != nullptr) {
    throw DataError(str(printable(mark->file->path(), 300), ": \"", printable(mark->name),
                        "\": the weights are quantised with ", method, kInstead));
  }
  if (claim) {
    return str(claim->where, " speaks of ", printable(claim->method),
               ", but the weights are plain floats, and are read so");
  }
  return {};
}

}  // namespace inlay
