// SPDX-License-Identifier: Apache-2.0
#include "finetune/metrics_log.h"

#include <nlohmann/json.hpp>

#include "core/error.h"
#include "core/io/atomic.h"

namespace inlay {
namespace {

using Json = nlohmann::ordered_json;

constexpr i64 kMaxLogBytes = i64{1} << 32;

std::string text_of(const std::string& path) {
  return is_file(path) ? file_system().read(path, kMaxLogBytes) : "";
}

}  // namespace

MetricsLog::MetricsLog(const std::string& path, i64 last_step, i64 logging_steps) : path_(path) {
  const std::string text = text_of(path);
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
      if (const auto loss = line.find("loss"); loss != line.end() && loss->is_number()) {
        add_loss(loss->get<double>());
      }
    }
    begin = end + 1;
  }
  // A digest over part of the losses would look like that of another run: none is better.
  whole_ = last_step < logging_steps || !kept.empty();
  // Lines from before the resume, and a last one that was cut short.
  if (kept.size() != text.size()) {
    write_file(path, kept);
  }
  file_ = std::make_unique<AppendFile>(path);
}

void MetricsLog::add_loss(double loss) {
  losses_.update(std::as_bytes(std::span(&loss, 1)));
}

std::optional<std::string> MetricsLog::loss_digest() const {
  return whole_ ? std::optional(losses_.hex()) : std::nullopt;
}

std::string MetricsLog::write(const StepMetrics& m) {
  const Json line = {{"step", m.step},
                     {"epoch", m.epoch},
                     {"loss", m.loss},
                     {"grad_norm", m.grad_norm},
                     {"learning_rate", m.learning_rate},
                     {"tokens", m.tokens},
                     {"tokens_per_second", m.tokens_per_second},
                     {"rss_bytes", m.rss_bytes},
                     {"elapsed_s", m.elapsed_s}};
  // Before the line is written: the digest is of the losses, not of what the disk took.
  add_loss(m.loss);
  return keep(line.dump(), m.step);
}

std::string MetricsLog::write(const EvalMetrics& m) {
  Json line = {{"step", m.step},
               {"epoch", m.epoch},
               {"eval_loss", m.report.loss},
               {"eval_perplexity", m.report.perplexity()},
               {"eval_tokens", m.report.tokens}};
  for (const auto& [name, mean] : m.report.means) {
    line["eval_" + name] = mean;
  }
  return keep(line.dump(), m.step);
}

std::string MetricsLog::keep(const std::string& line, i64 step) {
  last_line_ = line;
  last_step_ = step;
  file_->write_line(line);
  return flush();
}

std::string MetricsLog::flush() {
  // Told once, and again only when it had worked in between.
  const bool told = !refused_.empty();
  try {
    try {
      file_->flush();
    } catch (const IoError&) {  // of a full disk, or of a file that is not what it was
      if (file_->in_place()) {
        throw;
      }
    }
    refused_.clear();
    if (file_->in_place()) {
      return "";
    }
    const bool first = lost_.empty();
    lost_ = str(printable(path_, 300),
                ": another program removed or changed this log, as noticed after step ", last_step_,
                "; the lines before are lost, and it goes on in a new one");
    start_anew();
    return first ? lost_ : "";
  } catch (const IoError& e) {
    refused_ =
        str(e.what(), "; training goes on, and the log is tried again (step ", last_step_, ")");
    return told ? "" : refused_;
  }
}

// With the line in hand, which went to the old file.
void MetricsLog::start_anew() {
  make_directories(parent_path(path_));
  file_ = std::make_unique<AppendFile>(path_);
  file_->write_line(last_line_);
  file_->flush();
}

std::string MetricsLog::finish() {
  flush();
  try {
    file_->sync();
  } catch (const IoError& e) {
    refused_ = e.what();
  }
  return lost_.empty() ? refused_ : lost_;
}

}  // namespace inlay
