// SPDX-License-Identifier: Apache-2.0
#include "finetune/evaluate.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>

namespace inlay {

double LossReport::perplexity() const {
  return std::exp(loss);
}

LossReport evaluate_loss(const CausalLM& model, const Objective& objective,
                         std::span<const Example> examples, const EvaluateOptions& options) {
  const NoGrad guard;
  LossReport report;
  double sum = 0.0;
  std::map<std::string, double> sums;
  const i64 count = static_cast<i64>(examples.size());
  for (i64 begin = 0; begin < count; begin += options.batch_size) {
    std::vector<const Example*> rows;
    for (i64 i = begin; i < std::min(count, begin + options.batch_size); ++i) {
      rows.push_back(&examples[i]);
    }
    const std::unique_ptr<ObjectiveBatch> batch = objective.collate(rows);
    if (batch->weight == 0) {
      continue;
    }
    Pass pass;
    pass.tokens = &batch->tokens;
    pass.attention = options.attention;
    pass.compute = options.compute;
    const auto weight = static_cast<double>(batch->weight);
    const BatchLoss result = batch->loss(model, pass, weight);
    sum += static_cast<double>(result.loss.item()) * weight;
    for (const NamedSum& beside : result.sums) {
      sums[beside.name] += static_cast<double>(beside.value.item());
    }
    report.tokens += batch->weight;
  }
  const double all = report.tokens == 0 ? 1.0 : static_cast<double>(report.tokens);
  report.loss = sum / all;
  for (const auto& [name, value] : sums) {
    report.means.emplace_back(name, value / all);
  }
  return report;
}

}  // namespace inlay
