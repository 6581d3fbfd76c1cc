// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>

#include "core/memory/memory.h"
#include "finetune/config/run_config.h"
#include "finetune/run_sources.h"

namespace inlay {

struct ManifestFacts {
  const RunConfig& config;
  const RunSources& sources;               // as they were when they were read
  std::string output;                      // the adapter's or model's folder
  std::optional<std::string> loss_digest;  // see MetricsLog
  i64 steps = 0;
  MemoryReport peak;
  i64 peak_rss = 0;
};

/// manifest.json: what went into a run and what came out, with SHA-256 of every file (of base,
/// data, tokenizer, template and the adapter to start from), the digest of the losses' bits in
/// order, seed, threads, instruction set and peak memory.
void write_manifest(const std::string& path, const ManifestFacts& facts);

}  // namespace inlay
