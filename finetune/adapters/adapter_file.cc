// SPDX-License-Identifier: Apache-2.0
#include "finetune/adapters/adapter_file.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <string_view>
#include <utility>

#include "core/error.h"
#include "core/kernels/elementwise.h"
#include "finetune/adapters/registry.h"

namespace inlay {
namespace {

void erase_all(std::string& text, std::string_view part) {
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at)) {
    text.erase(at, part.size());
  }
}

// What wrappers put before the model's own name, or into it at each module they wrap.
std::string without_wrappers(std::string name) {
  for (const std::string_view inside :
       {"_orig_mod.", "_fsdp_wrapped_module.", "_checkpoint_wrapped_module."}) {
    erase_all(name, inside);
  }
  for (bool again = true; again;) {
    again = false;
    for (const std::string_view prefix : {"base_model.model.", "module."}) {
      if (name.starts_with(prefix)) {
        name.erase(0, prefix.size());
        again = true;
      }
    }
  }
  return name;
}

// The parts of names that methods' tensors are known by.
struct StoredNames {
  std::vector<std::string> modules;  // ".lora_A.", whose parameters come behind
  std::vector<std::string> bare;     // ".lora_embedding_A", itself a parameter
};

const StoredNames& stored_names() {
  static const StoredNames names = [] {
    StoredNames out;
    for (const AdapterMethod& method : adapter_methods()) {
      for (const auto* tensors : {&method.linear_tensors, &method.embedding_tensors}) {
        for (const std::string_view tensor : *tensors) {
          const std::size_t dot = tensor.find('.');
          if (dot == std::string_view::npos) {
            out.bare.push_back(str(".", tensor));
          } else {
            out.modules.push_back(str(".", tensor.substr(0, dot + 1)));
          }
        }
      }
    }
    out.bare.emplace_back(".trainable_tokens_delta");
    return out;
  }();
  return names;
}

// ".lora_A.default.weight" -> ".lora_A.weight", ".lora_embedding_A.default" -> ".lora_embedding_A".
std::string without_adapter_name(std::string name) {
  for (const std::string& module : stored_names().modules) {
    if (const std::size_t at = name.find(module); at != std::string::npos) {
      const std::size_t last = name.rfind('.') + 1;  // "weight" or "bias"
      return name.substr(0, at + module.size()) + name.substr(last);
    }
  }
  for (const std::string& bare : stored_names().bare) {
    if (const std::size_t at = name.find(bare); at != std::string::npos) {
      return name.substr(0, at + bare.size());
    }
  }
  constexpr std::string_view kSaved = ".modules_to_save.";
  if (const std::size_t at = name.find(kSaved); at != std::string::npos) {
    name.erase(at + 1, kSaved.size() - 1);
    constexpr std::string_view kDefault = "default.";
    if (name.compare(at + 1, kDefault.size(), kDefault) == 0) {
      name.erase(at + 1, kDefault.size());
    }
  }
  return name;
}

std::string canonical(const std::string& stored) {
  std::string name = without_adapter_name(without_wrappers(stored));
  constexpr std::string_view kUnderTokens = ".token_adapter.base_layer.";
  if (const std::size_t at = name.find(kUnderTokens); at != std::string::npos) {
    name.replace(at, kUnderTokens.size(), ".base_layer.");
  }
  return name;
}

// Copies of the base that the trained module stands in for, and what only training needs.
bool is_inert(std::string_view name) {
  constexpr std::array<std::string_view, 4> kParts = {".original_module.",
                                                      ".trainable_tokens_original",
                                                      ".lora_velora_embed", ".rotary_emb.inv_freq"};
  return std::ranges::any_of(
      kParts, [&](std::string_view part) { return name.find(part) != std::string_view::npos; });
}

// Whether some module's path is the beginning of `key`.
bool lies_below(const std::string& key, const std::set<std::string>& modules) {
  for (std::size_t end = key.find('.'); end != std::string::npos; end = key.find('.', end + 1)) {
    if (modules.contains(key.substr(0, end))) {
      return true;
    }
  }
  return false;
}

std::string renamed(const std::string& key, const std::set<std::string>& modules) {
  std::vector<std::string> others = {"model." + key, "transformer." + key};
  std::string shorter = key;
  erase_all(shorter, "language_model.");
  others.push_back(shorter);
  others.push_back("model." + shorter);
  for (const std::string& other : others) {
    if (lies_below(other, modules)) {
      return other;
    }
  }
  return key;
}

// A file's shape may have more axes than a Shape has.
std::string axes_text(const std::vector<i64>& shape) {
  std::string out = "[";
  for (const i64 axis : shape) {
    out += (out.size() == 1 ? "" : ", ") + std::to_string(axis);
  }
  return out + "]";
}

std::string counted_tensors(const std::vector<std::string>& names) {
  return str(names.size(), names.size() == 1 ? " tensor" : " tensors");
}

}  // namespace

AdapterFile::AdapterFile(const std::string& directory)
    : directory_(directory), file_(directory, "adapter_model") {
  constexpr std::string_view kSaved = ".modules_to_save.";
  for (const TensorEntry* entry : file_.entries()) {
    if (is_inert(entry->name)) {
      continue;
    }
    const auto [it, is_new] = by_key_.emplace(canonical(entry->name), entry);
    if (is_new) {
      continue;
    }
    // With its embeddings stored on top, an adapter holds a module saved whole under two names.
    const TensorEntry* before = it->second;
    const bool this_is_a_copy = entry->name.find(kSaved) != std::string::npos;
    if (this_is_a_copy == (before->name.find(kSaved) != std::string::npos)) {
      throw DataError(str(directory, ": \"", printable(before->name), "\" and \"",
                          printable(entry->name), "\" are two names of one tensor"));
    }
    it->second = this_is_a_copy ? before : entry;
  }
}

bool AdapterFile::rename_into(const std::set<std::string>& modules) {
  std::map<std::string, const TensorEntry*> out;
  bool changed = false;
  for (const auto& [key, entry] : by_key_) {
    const std::string better = lies_below(key, modules) ? key : renamed(key, modules);
    changed = changed || better != key;
    if (!out.emplace(better, entry).second) {
      throw DataError(str(directory_, ": \"", printable(out.at(better)->name), "\" and \"",
                          printable(entry->name), "\" are two names of one tensor"));
    }
  }
  by_key_ = std::move(out);
  return changed;
}

Tensor AdapterFile::take(const std::string& key, const Shape& shape) {
  const MemoryScope scope(MemoryClass::kAdapters);
  const Tensor out = Tensor::empty(shape);
  fill(out, key);
  return out;
}

void AdapterFile::require_shape(const std::string& key, const Shape& shape) const {
  const TensorEntry& entry = *by_key_.at(key);
  if (!entry.dtype || !std::ranges::equal(entry.shape, shape.dims()) ||
      (entry.dtype != DType::kF32 && entry.dtype != DType::kBf16 && entry.dtype != DType::kF16)) {
    throw DataError(
        str(where(key), ": expected ", shape.to_string(), " f32, bf16 or f16, found ",
            axes_text(entry.shape), " ",
            entry.dtype ? std::string(dtype_name(*entry.dtype)) : printable(entry.stored_dtype)));
  }
}

void AdapterFile::fill(const Tensor& target, const std::string& key) {
  require_shape(key, target.shape());
  const TensorEntry& entry = *by_key_.at(key);
  target.copy_from(Tensor::from_bytes(entry.data, target.shape(), *entry.dtype).to(DType::kF32));
  if (not_finite_.empty() && count_not_finite(target) > 0) {
    const std::vector<float> values = target.to_vector();
    const auto bad = std::ranges::find_if(values, [](float x) { return !std::isfinite(x); });
    not_finite_ = str(where(key), ": value ", bad - values.begin(), " of ", target.numel(), " is ",
                      std::isnan(*bad) ? "nan" : "infinite");
  }
  by_key_.erase(key);
}

std::string AdapterFile::where(const std::string& key) const {
  const TensorEntry& entry = *by_key_.at(key);
  return str(entry.file->path(), ": \"", printable(entry.name), "\"");
}

std::vector<std::string> AdapterFile::unused() const {
  std::vector<std::string> names;
  for (const auto& [key, entry] : by_key_) {
    names.push_back(entry->name);
  }
  return names;
}

std::string listed(const std::vector<std::string>& names) {
  constexpr std::size_t kShown = 5;
  std::string out;
  for (std::size_t i = 0; i < std::min(names.size(), kShown); ++i) {
    out += (i == 0 ? "" : ", ") + printable(names[i]);
  }
  return names.size() > kShown ? out + str(" and ", names.size() - kShown, " more") : out;
}

void require_all_placed(const std::string& directory, const std::vector<std::string>& unused,
                        const std::vector<std::string>& missing) {
  if (!unused.empty()) {
    throw DataError(str(directory, ": no place in this model for ", counted_tensors(unused),
                        " of the adapter: ", listed(unused)));
  }
  if (!missing.empty()) {
    throw DataError(str(directory, ": the adapter lacks ", counted_tensors(missing),
                        " that its adapter_config.json calls for: ", listed(missing)));
  }
}

}  // namespace inlay
