// SPDX-License-Identifier: Apache-2.0
#include "finetune/checkpoint_files.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "core/config/json.h"
#include "core/error.h"
#include "core/io/atomic.h"
#include "core/io/safetensors.h"
#include "core/io/sha256.h"
#include "finetune/adapters/peft_files.h"
#include "finetune/row_source.h"
#include "finetune/run_directory.h"

namespace inlay {
namespace {

using Json = nlohmann::json;

constexpr const char* kState = "trainer_state.json";
constexpr const char* kOptimizer = "optimizer.safetensors";
constexpr const char* kTrainable = "trainable.safetensors";
constexpr const char* kChecksum = "checksum";
constexpr const char* kSources = "sources";
constexpr i64 kMaxStateBytes = 1 << 20;

void write_tensors(const std::string& path, const std::vector<Parameter>& parameters) {
  std::vector<TensorToWrite> tensors;
  for (const Parameter& p : parameters) {
    const std::span<const i64> dims = p.value.shape().dims();
    tensors.push_back(
        {p.name, p.value.dtype(), {dims.begin(), dims.end()}, tensor_source(p.value)});
  }
  write_safetensors(path, std::move(tensors));
}

void read_tensors(const std::string& path, const std::vector<Parameter>& parameters) {
  const SafetensorsFile file(path);
  for (const Parameter& p : parameters) {
    const TensorEntry& entry = file.at(p.name);
    if (entry.dtype != p.value.dtype() ||
        !std::ranges::equal(entry.shape, p.value.shape().dims())) {
      throw DataError(str(path, ": \"", printable(p.name), "\": expected ",
                          p.value.shape().to_string(), " ", dtype_name(p.value.dtype()),
                          ", found another shape or type: this is the checkpoint of another run"));
    }
    p.value.copy_bytes_in(entry.data);
  }
}

Json checksums(const std::string& directory) {
  Json files = Json::object();
  for (const std::string& name : file_system().list(directory)) {
    const std::string path = join_path(directory, name);
    files[name] = {{"bytes", file_system().info(path).size}, {"sha256", sha256_file(path)}};
  }
  return files;
}

// A double by its bits, so that a resumed run adds to the very same number.
std::string bits_of(double value) {
  u64 bits = 0;
  std::memcpy(&bits, &value, sizeof bits);
  return std::to_string(bits);
}

double double_of(const std::string& bits) {
  const u64 value = std::stoull(bits);
  double out = 0.0;
  std::memcpy(&out, &value, sizeof out);
  return out;
}

// The text of the state with the SHA-256 of the text without it: no byte of the file can change
// unnoticed.
std::string sealed_text(Json state) {
  const auto dump = [&] {
    return state.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
  };
  state.erase(kChecksum);
  const std::string text = dump();
  state[kChecksum] = sha256_hex(std::as_bytes(std::span(text)));
  return dump();
}

Json read_state(const std::string& directory) {
  const std::string path = join_path(directory, kState);
  if (!is_file(path)) {
    throw DataError(str(directory, ": not a checkpoint: it has no ", kState));
  }
  const std::string text = file_system().read(path, kMaxStateBytes);
  Json state = parse_json(text, path);
  // Versions before the checksum wrote these keys and no other.
  constexpr std::string_view kUnsealed[] = {"step",           "tokens", "window_loss_bits",
                                            "window_trained", "data",   "files"};
  if (!state.is_object()) {
    throw DataError(str(path, ": not the state of a training run"));
  }
  bool unsealed = true;
  for (const auto& [key, value] : state.items()) {
    unsealed = unsealed && std::ranges::find(kUnsealed, key) != std::end(kUnsealed);
  }
  // The keys tell which kind it is, not the presence of the checksum: a damaged file could have
  // lost that.
  if (!unsealed && sealed_text(state) != text) {
    throw DataError(str(path, ": the file is damaged: its text is not that of its checksum"));
  }
  return state;
}

// What no run can have counted, and a folder of another name.
void check_counts(const std::string& directory, const TrainerState& state) {
  const std::string path = join_path(directory, kState);
  const auto refuse = [&](const char* key, i64 found, const std::string& expected) {
    throw DataError(str(path, ": /", key, ": expected ", expected, ", found ", found));
  };
  if (state.step < 1) {
    refuse("step", state.step, "at least 1");
  }
  if (const auto named = step_of_name(base_name(directory)); named && *named != state.step) {
    refuse("step", state.step, str(*named, ", as the folder's name says"));
  }
  if (state.tokens < 0) {
    refuse("tokens", state.tokens, "at least 0");
  }
  if (state.window_trained < 0) {
    refuse("window_trained", state.window_trained, "at least 0");
  }
  if (!std::isfinite(state.window_loss)) {
    throw DataError(str(path, ": /window_loss_bits: expected the bits of a finite number"));
  }
}

void verify_files(const std::string& directory, const Json& files) {
  // A file that is not listed came later: the folder is not what was saved.
  for (const std::string& name : file_system().list(directory)) {
    if (name != kState && !files.contains(name)) {
      throw DataError(str(join_path(directory, name), ": the checkpoint's ", kState,
                          " does not list this file"));
    }
  }
  for (const auto& [name, expected] : files.items()) {
    const std::string path = join_path(directory, name);
    if (!is_plain_name(name) || !is_file(path)) {
      throw DataError(str(path, ": the checkpoint lacks this file"));
    }
    // The size first: most damage is a file cut short, and is seen without reading it.
    if (file_system().info(path).size != expected.at("bytes").get<i64>() ||
        sha256_file(path) != expected.at("sha256").get<std::string>()) {
      throw DataError(
          str(path, ": the file is damaged: it is not what the checkpoint's ", kState, " says"));
    }
  }
}

CheckpointState state_of(const Json& json) {
  CheckpointState state;
  state.trainer.step = json.at("step").get<i64>();
  state.trainer.tokens = json.at("tokens").get<i64>();
  state.trainer.window_loss = double_of(json.at("window_loss_bits").get<std::string>());
  state.trainer.window_trained = json.at("window_trained").get<i64>();
  const Json& data = json.at("data");
  state.data.train = data.at("train").get<std::string>();
  state.data.validation = data.at("validation").get<std::string>();
  if (json.contains(kSources)) {
    state.sources = sources_from_json(json.at(kSources));
  }
  return state;
}

}  // namespace

DataDigests digests_of(const DataConfig& data) {
  return {sha256_file(*data.train), data.validation ? sha256_file(*data.validation) : ""};
}

DataDigests digests_of(const RunSources& sources) {
  const auto digest = [](const std::vector<SourceFile>& files) {
    return files.empty() ? "" : files.front().sha256;
  };
  return {digest(sources.train), digest(sources.validation)};
}

bool is_checkpoint_file(std::string_view name) {
  constexpr std::string_view kFiles[] = {"adapter_config.json", "adapter_model.safetensors",
                                         kOptimizer, kTrainable, kState};
  return std::ranges::find(kFiles, name) != std::end(kFiles);
}

void save_checkpoint(const std::string& directory, Trainer& trainer, const Adapter* adapter,
                     const std::string& base_model, const RunSources& sources) {
  AtomicDirectory folder(directory, {.replace = true});
  if (adapter != nullptr) {
    save_adapter(folder.path(), *adapter, base_model);
  } else {
    write_tensors(join_path(folder.path(), kTrainable), trainer.parameters());
  }
  write_tensors(join_path(folder.path(), kOptimizer), trainer.optimizer().state());
  const TrainerState& state = trainer.state();
  const DataDigests data = digests_of(sources);
  // Last of all files, since it has the checksums of the others.
  const Json json = {{"step", state.step},
                     {"tokens", state.tokens},
                     {"window_loss_bits", bits_of(state.window_loss)},
                     {"window_trained", state.window_trained},
                     {"data", {{"train", data.train}, {"validation", data.validation}}},
                     {"sources", sources_json(sources)},
                     {"files", checksums(folder.path())}};
  write_file(join_path(folder.path(), kState), sealed_text(json));
  folder.commit();
}

CheckpointState read_checkpoint(const std::string& directory) {
  const Json json = read_state(directory);
  try {
    CheckpointState state = state_of(json);
    check_counts(directory, state.trainer);
    verify_files(directory, json.at("files"));
    return state;
  } catch (const Json::exception&) {
    throw DataError(str(join_path(directory, kState), ": not the state of a training run"));
  } catch (const std::logic_error&) {  // std::stoull
    throw DataError(str(join_path(directory, kState), ": /window_loss_bits: expected a number"));
  }
}

void load_checkpoint(const std::string& directory, const CheckpointState& state, Trainer& trainer,
                     const Adapter* adapter) {
  if (adapter != nullptr) {
    load_adapter_tensors(directory, *adapter);
  } else {
    read_tensors(join_path(directory, kTrainable), trainer.parameters());
  }
  read_tensors(join_path(directory, kOptimizer), trainer.optimizer().state());
  trainer.set_state(state.trainer);
}

}  // namespace inlay
