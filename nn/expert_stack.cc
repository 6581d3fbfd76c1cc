// SPDX-License-Identifier: Apache-2.0
#include "nn/expert_stack.h"

#include "core/error.h"
#include "nn/weights.h"

namespace inlay {

std::string ExpertStackSpec::name_of(i64 e, i64 p) const {
  return str(e, ".", parts[p], ".weight");
}

std::string ExpertStackSpec::path(const std::string& module, const std::string& name) const {
  return dotted(stack.empty() ? module : module.substr(0, module.rfind('.')), name);
}

ExpertStack::ExpertStack(const ExpertStackSpec& spec, const std::string& name,
                         WeightSource& weights)
    : spec_(spec), weights_(weights.experts(name, spec)) {}

ExpertProjection ExpertStack::projection(const Pass& pass) const {
  ExpertProjection projection;
  projection.parts = weights_.parts;
  // Factors have their rows as the parameter in memory; the parts, here, follow one another.
  projection.interleaved_updates = spec_.interleaved && !weights_.interleaved;
  if (pass.adapters) {
    for (const ExpertStackUpdate& update : updates_) {
      projection.updates.push_back(update.what);
    }
  }
  return projection;
}

namespace {

// Rows of the parts one after the other, as the parameter in memory has them.
Tensor rows_as_in_memory(const Tensor& rows, bool interleave) {
  return interleave ? rows.view({2, rows.dim(0) / 2, rows.dim(1)})
                          .transpose(0, 1)
                          .contiguous()
                          .view({rows.dim(0), rows.dim(1)})
                    : rows;
}

}  // namespace

Tensor ExpertStack::matrix(i64 expert) const {
  const Tensor parts = Tensor::empty({spec_.out, spec_.in});
  i64 row = 0;
  for (const ExpertMatrices& part : weights_.parts) {
    const kernels::MatrixRef ref = part.ref(expert);
    const Tensor decoded = Tensor::empty({ref.rows, ref.cols});
    on(decoded).decode_rows(ref, 0, ref.rows, decoded.out());
    parts.slice(0, row, row + part.out)
        .copy_from(part.layout == WeightLayout::kOutIn ? decoded : decoded.transpose(0, 1));
    row += part.out;
  }
  const Tensor whole = rows_as_in_memory(parts, spec_.interleaved && !weights_.interleaved);
  for (const ExpertStackUpdate& update : updates_) {
    const NoGrad guard;
    const i64 rank = update.what.a.dim(0) / spec_.experts;
    const Tensor a = update.what.a.slice(0, expert * rank, (expert + 1) * rank);
    const Tensor b = update.what.b.view({spec_.out, rank, spec_.experts})
                         .slice(2, expert, expert + 1)
                         .contiguous()
                         .view({spec_.out, rank});
    const Tensor delta = matmul(b.detach(), a.detach());
    on(delta).scale(delta.in(), update.what.factor, delta.out());
    on(whole).add(whole.in(), delta.in(), whole.out());
  }
  return whole;
}

Tensor ExpertStack::bias() const {
  if (!spec_.bias) {
    return {};
  }
  const Tensor rows = Tensor::empty({spec_.out, spec_.experts});
  i64 row = 0;
  for (const ExpertMatrices& part : weights_.parts) {
    rows.slice(0, row, row + part.out).copy_from(part.bias.detach().transpose(0, 1));
    row += part.out;
  }
  return rows_as_in_memory(rows, spec_.interleaved && !weights_.interleaved)
      .transpose(0, 1)
      .contiguous();
}

void ExpertStack::prepack(GemmCompute compute) {
  for (ExpertMatrices& part : weights_.parts) {
    for (FrozenMatrix& matrix : part.frozen) {
      matrix.prepack(compute);
    }
  }
}

void ExpertStack::visit(Visitor& visitor, const std::string& name) {
  for (std::size_t p = 0; p < weights_.parts.size(); ++p) {
    ExpertMatrices& part = weights_.parts[p];
    for (std::size_t i = 0; i < part.trained.size(); ++i) {
      visitor.parameter(spec_.path(name, weights_.names[p][i]), part.trained[i]);
    }
    if (part.bias.defined()) {
      visitor.parameter(spec_.path(name, weights_.bias_names[p]), part.bias);
    }
  }
  for (ExpertStackUpdate& update : updates_) {
    visitor.parameter(dotted(name, update.a_name), update.what.a);
    visitor.parameter(dotted(name, update.b_name), update.what.b);
  }
}

}  // namespace inlay
