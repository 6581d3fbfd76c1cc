// SPDX-License-Identifier: Apache-2.0
#include "finetune/metrics_log.h"

#include <nlohmann/json.hpp>

#include "core/io/atomic.h"

namespace inlay {
namespace {

using Json = nlohmann::ordered_json;

constexpr i64 kMostLogBytes = i64{1} << 32;

// The path, after the lines beyond `last_step` have been cut off.
std::string without_later_steps(const std::string& path, i64 last_step) {
  if (!is_file(path)) {
    return path;
  }
  const std::string text = file_system().read(path, kMostLogBytes);
  std::string kept;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = text.find('\n', begin);
    if (end == std::string::npos) {
      break;
    }
    const Json line = Json::parse(text.begin() + begin, text.begin() + end, nullptr, false);
    const auto step = line.is_object() ? line.find("step") : line.end();
    if (line.is_object() && step != line.end() && step->is_number_integer() &&
        step->get<i64>() <= last_step) {
      kept.append(text, begin, end + 1 - begin);
    }
    begin = end + 1;
  }
  if (kept.size() != text.size()) {
    write_file(path, kept);
  }
  return path;
}

}  // namespace

MetricsLog::MetricsLog(const std::string& path, i64 last_step)
    : file_(without_later_steps(path, last_step)) {}

void MetricsLog::write(const StepMetrics& m) {
  const Json line = {{"step", m.step},
                     {"epoch", m.epoch},
                     {"loss", m.loss},
                     {"grad_norm", m.grad_norm},
                     {"learning_rate", m.learning_rate},
                     {"tokens", m.tokens},
                     {"tokens_per_second", m.tokens_per_second},
                     {"rss_bytes", m.rss_bytes},
                     {"elapsed_s", m.elapsed_s}};
  file_.write_line(line.dump());
  file_.flush();
}

void MetricsLog::write(const EvalMetrics& m) {
  const Json line = {{"step", m.step},
                     {"epoch", m.epoch},
                     {"eval_loss", m.report.loss},
                     {"eval_perplexity", m.report.perplexity()},
                     {"eval_tokens", m.report.tokens}};
  file_.write_line(line.dump());
  file_.flush();
}

}  // namespace inlay
