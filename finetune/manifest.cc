// SPDX-License-Identifier: Apache-2.0
#include "finetune/manifest.h"

#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "core/io/atomic.h"
#include "core/io/sha256.h"
#include "core/kernels/cpu/isa/isa.h"
#include "core/parallel.h"

namespace inlay {
namespace {

using Json = nlohmann::ordered_json;

Json file_facts(const std::string& path) {
  return {{"path", path}, {"bytes", file_system().info(path).size}, {"sha256", sha256_file(path)}};
}

Json source_facts(const SourceFile& file) {
  return {{"path", file.path}, {"bytes", file.stamp.size}, {"sha256", file.sha256}};
}

Json source_list(const std::vector<SourceFile>& files) {
  Json out = Json::array();
  for (const SourceFile& file : files) {
    out.push_back(source_facts(file));
  }
  return out;
}

Json data_facts(const RunSources& sources) {
  Json out = Json::object();
  for (const SourceFile& file : sources.train) {
    out["train"] = source_facts(file);
  }
  for (const SourceFile& file : sources.validation) {
    out["validation"] = source_facts(file);
  }
  return out;
}

void add_outputs(const std::string& folder, Json& out) {
  for (const std::string& name : file_system().list(folder)) {
    const std::string path = join_path(folder, name);
    if (is_directory(path)) {
      add_outputs(path, out);
    } else {
      out.push_back(file_facts(path));
    }
  }
}

}  // namespace

void write_manifest(const std::string& path, const ManifestFacts& facts) {
  Json json;
  json["program"] = {{"version", INLAY_VERSION}, {"sha256", sha256_file("/proc/self/exe")}};
  json["seed"] = facts.config.training.seed;
  json["machine"] = {{"instruction_set", kernels::isa_name(kernels::active_isa())},
                     {"processors", available_processors()},
                     {"threads", num_threads()}};
  const RunSources& sources = facts.sources;
  json["base"] = source_list(sources.base);
  for (const auto& [key, files] : {std::pair("tokenizer", &sources.tokenizer),
                                   std::pair("chat_template", &sources.chat_template),
                                   std::pair("adapter", &sources.adapter)}) {
    if (!files->empty()) {
      json[key] = source_list(*files);
    }
  }
  json["data"] = data_facts(sources);
  json["steps"] = facts.steps;
  // null where the log of the first steps is gone: a digest of the rest would be another run's.
  json["loss_digest"] = facts.loss_digest ? Json(*facts.loss_digest) : Json();
  Json output = Json::array();
  add_outputs(facts.output, output);
  json["output"] = output;
  Json peak;
  for (int c = 0; c < kMemoryClasses; ++c) {
    peak[std::string(memory_class_name(static_cast<MemoryClass>(c)))] = facts.peak.bytes[c];
  }
  json["peak_memory"] = {
      {"tracked_bytes", facts.peak.total()}, {"by_class", peak}, {"rss_bytes", facts.peak_rss}};
  // A path may be any bytes; what is not UTF-8 in it must not cost the manifest.
  write_file(path, json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
}

}  // namespace inlay
