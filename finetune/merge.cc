// SPDX-License-Identifier: Apache-2.0
#include "finetune/merge.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <span>
#include <system_error>
#include <utility>
#include <vector>

#include "core/error.h"
#include "core/io/atomic.h"
#include "core/io/file_system.h"
#include "core/io/mapped_files.h"
#include "core/io/replaced_input.h"
#include "finetune/adapter_base.h"
#include "finetune/adapters/peft_files.h"
#include "finetune/hf_export.h"
#include "finetune/loaded_model.h"
#include "finetune/model_cache.h"

namespace inlay {
namespace {

constexpr i64 kProbeSequences = 2;
constexpr i64 kProbeLength = 48;
constexpr const char* kNote = "inlay_merge.json";
constexpr i64 kMaxNoteBytes = 1 << 20;

// Of what is read back it is the logits that are looked at.
LoadedModel open_model(const std::string& path, bool require_finite,
                       const FreeObject& rope_scaling = {}) {
  LoadOptions options;
  options.model.model_name_or_path = path;
  options.model.rope_scaling = rope_scaling;
  options.require_finite = require_finite;
  return load_model(options);
}

// Logits of a few sequences of random tokens: every layer and many rows of the embedding take part.
Tensor probe_logits(const LoadedModel& loaded) {
  const NoGrad guard;
  const ModelSizes& sizes = loaded.model->sizes();
  const i64 length = sizes.hard_limit ? std::min(kProbeLength, sizes.max_positions) : kProbeLength;
  PackedTokens tokens;
  for (i64 s = 0; s < kProbeSequences; ++s) {
    std::vector<i32> ids;
    for (i64 t = 0; t < length; ++t) {
      const u64 draw = random_below(RandomKey(1).with("merge"), s * length + t, sizes.vocab_size);
      ids.push_back(static_cast<i32>(draw));
    }
    tokens.append(ids);
  }
  Pass pass;
  pass.tokens = &tokens;
  return loaded.model->logits(loaded.model->hidden(pass), pass);
}

// What rounding each weight to the type explains: relative errors of 2^-12 and 2^-9 a weight, which
// add up over the layers.
double limit_for(DType dtype) {
  return dtype == DType::kF32 ? 1e-5 : dtype == DType::kF16 ? 2e-3 : 2e-2;
}

MergeReport compare(const Tensor& expected, const Tensor& found, DType dtype) {
  MergeReport report;
  report.positions = expected.dim(0);
  report.limit = limit_for(dtype);
  double difference = 0.0;
  double size = 0.0;
  const std::vector<float> left = expected.to_vector();
  const std::vector<float> right = found.to_vector();
  for (std::size_t i = 0; i < left.size(); ++i) {
    const auto e = static_cast<double>(left[i]);
    const double d = static_cast<double>(right[i]) - e;
    report.largest_difference = std::max(report.largest_difference, std::abs(d));
    difference += d * d;
    size += e * e;
  }
  report.relative_difference = std::sqrt(difference / std::max(size, 1e-300));
  return report;
}

// What a merge notes of itself in the folder it writes: what it was made of, and its files. The
// latter say what --overwrite may replace.
void write_note(const std::string& folder, const MergeOptions& options) {
  nlohmann::ordered_json note = {{"program", "inlay merge " INLAY_VERSION},
                                 {"model", options.model},
                                 {"adapter", options.adapter},
                                 {"files", file_system().list(folder)}};
  write_file(join_path(folder, kNote),
             note.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n");
}

// A file in `folder` that no merge wrote, or "".
std::string file_of_others(const std::string& folder) {
  const std::string path = join_path(folder, kNote);
  std::vector<std::string> ours = {kNote};
  if (is_file(path) && file_system().info(path).size <= kMaxNoteBytes) {
    const auto note =
        nlohmann::ordered_json::parse(file_system().read(path, kMaxNoteBytes), nullptr, false);
    if (note.is_object() && note.contains("files") && note["files"].is_array()) {
      for (const auto& name : note["files"]) {
        ours.push_back(name.is_string() ? name.get<std::string>() : "");
      }
    }
  }
  for (const std::string& name : file_system().list(folder)) {
    if (std::ranges::find(ours, name) == ours.end()) {
      return name;
    }
  }
  return "";
}

// What can be told before the model is loaded.
void check_paths(const MergeOptions& options) {
  const std::vector<CommandInput> inputs = {
      {"the model", find_model_path(options.model).value_or(options.model)},
      {"the adapter", options.adapter}};
  require_inputs_stay(std::span(&options.out, 1), inputs, "choose another --out");
  const FileInfo info = file_system().info(options.out);
  if (info.kind == FileKind::kDirectory) {
    const std::string foreign = file_of_others(options.out);
    if (!foreign.empty()) {
      throw ConfigError(str(options.out, ": already there, and no merge wrote its ",
                            printable(foreign), "; choose another --out"));
    }
    if (!options.overwrite && !file_system().list(options.out).empty()) {
      throw ConfigError(str(options.out, ": already there (--overwrite replaces it)"));
    }
  } else if (info.kind != FileKind::kNone || info.link) {
    throw ConfigError(str(options.out, ": already there, and not a folder; choose another --out"));
  }
  read_adapter_config(options.adapter);
}

void require_mergeable(const Adapter& adapter, const std::string& folder) {
  if (!adapter.not_finite.empty()) {
    throw DataError(adapter.not_finite + ": an adapter to merge must hold numbers");
  }
  if (!adapter.not_mergeable.empty()) {
    throw DataError(str(folder, ": ", adapter.not_mergeable));
  }
}

}  // namespace

MergeReport merge_adapter(const MergeOptions& options) {
  check_paths(options);
  AtomicDirectory folder(options.out, {.replace = options.overwrite});
  Tensor expected;
  DType dtype = DType::kF32;
  std::vector<std::string> notices;
  {
    LoadedModel adapted =
        open_model(options.model, /*require_finite=*/true,
                   rope_scaling_of_base(options.rope_scaling, std::span(&options.adapter, 1)));
    require_exportable(adapted);
    dtype = options.dtype.value_or(adapted.checkpoint->float_type());
    Adapter adapter = load_adapter(*adapted.model, options.adapter);
    require_mergeable(adapter, options.adapter);
    notices = std::move(adapter.notices);
    expected = probe_logits(adapted);
    write_hf_files(folder.path(), adapted, dtype);
    require_mapped_files_unchanged();
    write_note(folder.path(), options);
  }
  MergeReport report =
      compare(expected, probe_logits(open_model(folder.path(), /*require_finite=*/false)), dtype);
  if (!(report.relative_difference <= report.limit)) {
    throw VerificationError(
        str(options.out, ": the merged model's logits differ from those of base and adapter by ",
            report.relative_difference, " (relative), more than the ", report.limit,
            " that rounding to ", dtype_name(dtype), " explains; nothing was written"));
  }
  folder.commit();
  report.notices = std::move(notices);
  return report;
}

}  // namespace inlay
