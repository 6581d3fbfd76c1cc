// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "core/io/gguf.h"
#include "nn/models/hf_config.h"

namespace inlay {

/// A setting that one key of a GGUF file says: "<architecture>.<gguf>", which must be there, is
/// `hf` in config.json.
struct GgufSetting {
  enum Kind { kInteger, kNumber };
  std::string gguf, hf;
  Kind kind = kInteger;
};

/// The settings of a GGUF file, below "<architecture>.". All throw DataError for another type.
class GgufKeys {
 public:
  GgufKeys(const GgufFile& file, const std::string& architecture)
      : file_(file), prefix_(architecture + ".") {}

  const GgufFile& file() const { return file_; }
  bool has(const std::string& name) const { return file_.find(prefix_ + name) != nullptr; }
  /// An integer, or a list of one a layer that are all alike. Without a default it must be there.
  i64 integer(const std::string& name) const;
  i64 integer(const std::string& name, i64 otherwise) const;
  double number(const std::string& name) const { return file_.get_float(prefix_ + name); }
  double number(const std::string& name, double otherwise) const {
    return file_.find_float(prefix_ + name).value_or(otherwise);
  }
  bool flag(const std::string& name, bool otherwise) const {
    return file_.find_bool(prefix_ + name).value_or(otherwise);
  }
  std::string text(const std::string& name, const std::string& otherwise) const {
    return std::string(file_.find_string(prefix_ + name).value_or(otherwise));
  }
  /// One number a layer, or nothing where the file has no list.
  std::optional<std::vector<i64>> integers(const std::string& name) const;
  [[noreturn]] void fail(const std::string& name, const std::string& complaint) const;

 private:
  std::optional<i64> same_in_every_layer(const std::string& name) const;

  const GgufFile& file_;
  std::string prefix_;
};

/// What a family says of its RoPE beside what its GGUF files do.
struct GgufRopeRules {
  i64 head_dim = 64;       // of layers of full attention
  double theta = 10000.0;  // where the file has no rope.freq_base
  /// rope.dimension_count may be less than head_dim: the first part of a head turns.
  bool partial = false;
  /// Sliding layers have settings of their own, plain ones, whose base is rope.freq_base_swa or
  /// else this; rope_parameters then has one object a type of layer. Nothing: all are alike.
  std::optional<double> sliding_theta = {};
  /// rope_freqs says which pairs of full attention turn at all (Gemma 4).
  bool proportional = false;
  /// With yarn, rope.scaling.yarn_attn_factor is the attention_factor of config.json, as the
  /// converter writes it; llama.cpp itself passes it over.
  bool yarn_attention_factor = true;
};

/// Adds rope_parameters to a config. Llama 3's scaling is not among them: it comes as divisors in a
/// tensor (kGgufRopeDivisors), and the type then says nothing. Hunyuan's alpha comes in the base.
void write_gguf_rope(const GgufKeys& keys, const GgufRopeRules& rules, nlohmann::json& config);

/// Adds sliding_window and layer_types to a config: by the file's list of layers, or its number n,
/// or else `full_every`, of which each n-th sees everything. `otherwise` is the window of files that
/// name none; 0: they have none, and all layers see everything.
void write_gguf_window(const GgufKeys& keys, i64 full_every, i64 otherwise, nlohmann::json& config);

/// The settings of a GGUF model by the keys of config.json. Throws DataError for an architecture
/// inlay does not know and for metadata that is missing or of the wrong type.
HfConfig gguf_config(const GgufFile& file);

}  // namespace inlay
