// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "apps/arguments.h"
#include "apps/commands.h"
#include "apps/model_arguments.h"
#include "core/config/json.h"
#include "core/error.h"
#include "core/io/atomic.h"
#include "core/io/file_system.h"
#include "core/io/mapped_files.h"
#include "core/io/replaced_input.h"
#include "core/io/safetensors.h"

namespace inlay {
namespace {

constexpr i64 kMaxIdBytes = 256 << 20;
constexpr const char* kTensor = "logits";

std::vector<std::vector<i32>> read_ids(const std::string& file, i64 vocab_size) {
  const nlohmann::json json = parse_json(file_system().read(file, kMaxIdBytes), file);
  const auto rows = json.is_object() ? json.find("input_ids") : json.end();
  if (!json.is_object() || rows == json.end() || !rows->is_array() || rows->empty()) {
    throw DataError(str(file, R"(: expected {"input_ids": [[…], …]})"));
  }
  std::vector<std::vector<i32>> out;
  for (const nlohmann::json& row : *rows) {
    out.emplace_back();
    if (!row.is_array() || row.empty() || row.size() != rows->front().size()) {
      throw DataError(str(file, ": /input_ids/", out.size() - 1,
                          ": expected a list of ids, at least one and as many in every row"));
    }
    for (std::size_t t = 0; t < row.size(); ++t) {
      if (!row[t].is_number_integer() || row[t].get<i64>() < 0 || row[t].get<i64>() >= vocab_size) {
        throw DataError(str(file, ": /input_ids/", out.size() - 1, "/", t,
                            ": expected an id from 0 to ", vocab_size - 1, ", found ",
                            printable(row[t].dump())));
      }
      out.back().push_back(row[t].get<i32>());
    }
  }
  return out;
}

bool holds_only_logits(const std::string& path) {
  try {
    const SafetensorsFile file(path);
    return file.entries().size() == 1 && file.entries()[0].name == kTensor;
  } catch (const Error&) {
    return false;
  }
}

}  // namespace

int run_logits(std::span<const std::string> arguments) {
  ModelArguments model;
  std::string ids_file;
  std::string out;
  Arguments args("inlay logits",
                 "Writes the raw logits [B, T, V] of given token ids, in f32 arithmetic.");
  model.declare(args, true);
  args.option("--ids", ids_file, R"(JSON file {"input_ids": [[…], …]}, rows of one length)")
      .required()
      .option("-o,--out", out, "safetensors file to write, with the tensor \"logits\"")
      .required();
  if (!args.parse(arguments)) {
    return 0;
  }
  require_place_for_file(out);
  if (!exists(ids_file)) {
    throw IoError(str(ids_file, ": there is no such file"));
  }
  if (!holds_only_logits(out)) {  // by an earlier run of this command
    std::vector<CommandInput> inputs = model.inputs();
    inputs.push_back({"the ids", ids_file});
    require_inputs_stay(std::span(&out, 1), inputs, "choose another --out");
  }
  const LoadedModel loaded = model.load();
  const ModelSizes& sizes = loaded.model->sizes();
  const std::vector<std::vector<i32>> ids = read_ids(ids_file, sizes.vocab_size);
  const i64 T = static_cast<i64>(ids[0].size());
  if (sizes.hard_limit && T > sizes.max_positions) {
    throw DataError(str(ids_file, ": rows of ", T, " ids, and the model has positions for ",
                        sizes.max_positions));
  }
  const NoGrad guard;
  Pass pass;
  pass.attention = model.attention;
  // One row at a time: a row's logits are the large thing here, and the file takes them piece by
  // piece.
  std::vector<Tensor> rows;
  for (const std::vector<i32>& row : ids) {
    PackedTokens tokens;
    tokens.append(row);
    pass.tokens = &tokens;
    rows.push_back(loaded.model->logits(loaded.model->hidden(pass), pass));
  }
  require_mapped_files_unchanged();
  const i64 row_bytes = T * sizes.vocab_size * static_cast<i64>(sizeof(float));
  const auto fill = [&](i64 offset, std::span<std::byte> bytes) {
    for (std::size_t done = 0; done < bytes.size();) {
      const i64 at = offset + static_cast<i64>(done);
      const Tensor& row = rows[at / row_bytes];
      const std::size_t count =
          std::min(static_cast<std::size_t>(row_bytes - at % row_bytes), bytes.size() - done);
      row.copy_bytes_out(bytes.subspan(done, count), at % row_bytes);
      done += count;
    }
  };
  const i64 B = static_cast<i64>(ids.size());
  write_safetensors(out, {{kTensor, DType::kF32, {B, T, sizes.vocab_size}, ByteSource(fill)}});
  std::printf("logits [%ld, %ld, %ld] f32 written to %s\n", static_cast<long>(B),
              static_cast<long>(T), static_cast<long>(sizes.vocab_size), out.c_str());
  return 0;
}

}  // namespace inlay
