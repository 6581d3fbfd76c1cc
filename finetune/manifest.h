// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "core/memory/memory.h"
#include "finetune/config/run_config.h"

namespace inlay {

struct ManifestFacts {
  const RunConfig& config;
  std::vector<std::string> weights;  // the base model's files
  std::string output;                // the adapter's or model's folder
  std::string metrics;               // metrics.jsonl
  i64 steps = 0;
  MemoryReport peak;
  i64 peak_rss = 0;
};

/// manifest.json: what went into a run and what came out, with SHA-256 of every file, the digest of
/// the losses' bits in order, seed, threads, instruction set and peak memory.
void write_manifest(const std::string& path, const ManifestFacts& facts);

}  // namespace inlay
