// SPDX-License-Identifier: Apache-2.0
#include "finetune/manifest.h"

#include <cstring>
#include <nlohmann/json.hpp>
#include <span>

#include "core/io/atomic.h"
#include "core/io/sha256.h"
#include "core/kernels/isa.h"
#include "core/parallel.h"

namespace inlay {
namespace {

using Json = nlohmann::ordered_json;

constexpr i64 kMostMetricsBytes = i64{1} << 32;

Json file_facts(const std::string& path) {
  return {{"path", path}, {"bytes", file_system().info(path).size}, {"sha256", sha256_file(path)}};
}

// SHA-256 over the 8 bytes of each logged loss, in order: two runs are the same when this is.
std::string loss_digest(const std::string& metrics) {
  Sha256 digest;
  const std::string text = file_system().read(metrics, kMostMetricsBytes);
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = text.find('\n', begin);
    const Json line = Json::parse(text.begin() + begin, text.begin() + end, nullptr, false);
    if (line.is_object() && line.contains("loss")) {
      const double loss = line["loss"].get<double>();
      digest.update(std::as_bytes(std::span(&loss, 1)));
    }
    begin = end + 1;
  }
  return digest.hex();
}

Json data_facts(const DataConfig& data) {
  Json out;
  out["train"] = file_facts(*data.train);
  if (data.validation) {
    out["validation"] = file_facts(*data.validation);
  }
  return out;
}

}  // namespace

void write_manifest(const std::string& path, const ManifestFacts& facts) {
  Json json;
  json["program"] = {{"version", INLAY_VERSION}, {"sha256", sha256_file("/proc/self/exe")}};
  json["seed"] = facts.config.training.seed;
  json["machine"] = {{"instruction_set", kernels::isa_name(kernels::active_isa())},
                     {"processors", available_processors()},
                     {"threads", num_threads()}};
  Json weights = Json::array();
  for (const std::string& file : facts.weights) {
    weights.push_back(file_facts(file));
  }
  json["base"] = weights;
  json["data"] = data_facts(facts.config.data);
  json["steps"] = facts.steps;
  json["loss_digest"] = loss_digest(facts.metrics);
  Json output = Json::array();
  for (const std::string& name : file_system().list(facts.output)) {
    output.push_back(file_facts(join_path(facts.output, name)));
  }
  json["output"] = output;
  Json peak;
  for (int c = 0; c < kMemoryClasses; ++c) {
    peak[std::string(memory_class_name(static_cast<MemoryClass>(c)))] = facts.peak.bytes[c];
  }
  json["peak_memory"] = {
      {"tracked_bytes", facts.peak.total()}, {"by_class", peak}, {"rss_bytes", facts.peak_rss}};
  write_file(path, json.dump(2) + "\n");
}

}  // namespace inlay
