// SPDX-License-Identifier: Apache-2.0
#include "core/ops/expert_group.h"

#include <algorithm>
#include <utility>

#include "core/error.h"
#include "core/ops/product.h"
#include "core/ops/support.h"

namespace inlay {

using kernels::ExpertProduct;
using kernels::GemmTerm;
using kernels::MatrixRef;

namespace {

// Not the 64 that an operation may have: who has the tokens has other inputs beside them.
constexpr std::size_t kLeavesAToken = 64;

Tensor matrix_of(const ExpertMatrices& part, const std::vector<Tensor>& all, i64 expert) {
  if (all[0].rank() == 2) {
    return all[expert];
  }
  const Tensor& stack = all[0];
  return stack.slice(0, expert, expert + 1)
      .view(part.layout == WeightLayout::kOutIn ? Shape{part.out, part.in}
                                                : Shape{part.in, part.out});
}

// Rows of x [.., width] from a column on.
GemmTerm term_of(const float* x, i64 stride, i64 K, const MatrixRef& b, bool transposed) {
  GemmTerm term;
  term.K = K;
  term.a = x;
  term.a_row_stride = stride;
  term.b = b;
  term.b_transposed = transposed;
  return term;
}

void set_term(ExpertProduct& product, const GemmTerm& term) {
  static_cast<GemmTerm&>(product) = term;
}

MatrixRef expert_matrix(const Tensor& stack, i64 expert) {
  MatrixRef ref;
  ref.rows = stack.dim(1);
  ref.cols = stack.dim(2);
  ref.row_bytes = ref.cols * static_cast<i64>(sizeof(float));
  ref.data = stack.data<const float>() + expert * ref.rows * ref.cols;
  return ref;
}

}  // namespace

LeafBundle::LeafBundle(std::span<const Tensor> leaves)
    : gradients_(std::make_shared<std::vector<Tensor>>(leaves.size())) {
  for (std::size_t first = 0; first < leaves.size(); first += kLeavesAToken) {
    const auto some = leaves.subspan(first, std::min(kLeavesAToken, leaves.size() - first));
    const auto hand_on = [gradients = gradients_, first, count = some.size()](std::span<Tensor>,
                                                                              Wants) {
      Grads grads;
      for (std::size_t i = first; i < first + count; ++i) {
        grads.push_back(std::exchange((*gradients)[i], Tensor()));
      }
      return grads;
    };
    tokens_.push_back(record_many("experts", {Tensor::empty({1})},
                                  std::vector<Tensor>(some.begin(), some.end()), hand_on)[0]);
  }
}

bool ExpertMatrices::trains() const {
  return std::ranges::any_of(trained, [](const Tensor& t) { return t.requires_grad(); });
}

void ExpertMatrices::freeze() {
  const i64 experts = trained[0].rank() == 2 ? std::ssize(trained) : trained[0].dim(0);
  for (i64 e = 0; e < experts; ++e) {
    frozen.emplace_back(matrix_of(*this, trained, e));
  }
  trained.clear();
}

MatrixRef ExpertMatrices::ref(i64 expert) const {
  return trained.empty() ? frozen[expert].ref() : matrix_ref(matrix_of(*this, trained, expert));
}

i64 ExpertProjection::out() const {
  i64 sum = 0;
  for (const ExpertMatrices& part : parts) {
    sum += part.out;
  }
  return sum;
}

ExpertGroup::ExpertGroup(const ExpertProjection& projection, const Routing& routing,
                         GemmCompute compute)
    : projection_(projection),
      experts_(routing.experts),
      rows_(routing.rows()),
      pairs_(routing.pairs()),
      offsets_(routing.offsets),
      pair_(routing.pair),
      compute_(compute),
      out_(projection.out()) {
  for (const ExpertMatrices& part : projection_.parts) {
    if (part.bias.defined()) {
      check_shape("experts: bias", part.bias, {experts_, part.out});
    }
    trains_weights_ = trains_weights_ || part.trains();
    bundles_.emplace_back(part.trains() ? std::span<const Tensor>(part.trained)
                                        : std::span<const Tensor>());
  }
  compute_ = trains_weights_ ? unquantised(compute) : compute;
  for (const ExpertUpdate& update : projection_.updates) {
    const i64 rank = update.a.dim(0) / experts_;
    check_shape("experts: A", update.a, {experts_ * rank, in()});
    check_shape("experts: B", update.b, {out_, rank * experts_});
    updates_.push_back({update.a.detach().view({experts_, rank, in()}), packed_b(update.b, rank),
                        update.factor, rank});
  }
}

bool ExpertGroup::trains_a() const {
  return std::ranges::any_of(projection_.updates,
                             [](const ExpertUpdate& u) { return u.a.requires_grad(); });
}

bool ExpertGroup::trains_b() const {
  return std::ranges::any_of(projection_.updates,
                             [](const ExpertUpdate& u) { return u.b.requires_grad(); });
}

bool ExpertGroup::has_bias() const {
  return std::ranges::any_of(projection_.parts,
                             [](const ExpertMatrices& part) { return part.bias.defined(); });
}

// [out, r E] as [E, out, r], the rows in the order of the parts.
Tensor ExpertGroup::packed_b(const Tensor& b, i64 rank) const {
  Tensor rows = b.detach().contiguous();
  if (projection_.interleaved_updates) {
    rows = rows.view({out_ / 2, 2, rank * experts_}).transpose(0, 1).contiguous();
  }
  return rows.view({out_, rank, experts_}).transpose(0, 2).transpose(1, 2).contiguous();
}

Tensor ExpertGroup::unpacked_b(const Tensor& packed) const {
  const i64 rank = packed.dim(2);
  Tensor rows = packed.transpose(1, 2).transpose(0, 2).contiguous();
  if (projection_.interleaved_updates) {
    rows = rows.view({2, out_ / 2, rank * experts_}).transpose(0, 1).contiguous();
  }
  return rows.view({out_, rank * experts_});
}

ExpertProduct ExpertGroup::product(i64 expert, const Tensor& x, const Tensor& y) const {
  ExpertProduct product;
  set_term(product, term_of(x.data<const float>(), x.dim(1), x.dim(1), {}, true));
  product.M = pairs_;
  product.N = y.dim(1);
  product.c = y.data<float>();
  product.c_row_stride = y.dim(1);
  product.expert = expert;
  return product;
}

void ExpertGroup::run(std::span<const ExpertProduct> products, const Tensor& on_device) const {
  const MemoryScope scope(MemoryClass::kScratch);
  const Tensor scratch =
      Tensor::empty({current_kernels().expert_products_scratch(products, rows_)});
  on(on_device).expert_products(products, rows_, offsets_.span<const i32>(), scratch.out());
}

std::vector<Tensor> ExpertGroup::low_rank(const Tensor& x) const {
  std::vector<Tensor> ts;
  std::vector<ExpertProduct> products;
  for (const Update& update : updates_) {
    ts.push_back(Tensor::empty({pairs_, update.rank}));
    for (i64 e = 0; e < experts_; ++e) {
      ExpertProduct p = product(e, x, ts.back());
      p.b = expert_matrix(update.a, e);
      p.alpha = update.factor;
      p.compute = unquantised(compute_);
      products.push_back(p);
    }
  }
  run(products, x);
  return ts;
}

void ExpertGroup::forward(const Tensor& x, std::span<const Tensor> t, const Tensor& y) const {
  std::vector<ExpertProduct> products;
  std::vector<std::vector<GemmTerm>> more;  // of each product
  more.reserve(projection_.parts.size() * experts_);
  i64 column = 0;
  for (const ExpertMatrices& part : projection_.parts) {
    for (i64 e = 0; e < experts_; ++e) {
      ExpertProduct p = product(e, x, y);
      p.b = part.ref(e);
      p.b_transposed = part.layout == WeightLayout::kOutIn;
      p.N = part.out;
      p.c += column;
      p.bias = part.bias.defined() ? part.bias.data<const float>() + e * part.out : nullptr;
      p.compute = compute_;
      std::vector<GemmTerm>& terms = more.emplace_back();
      for (std::size_t j = 0; j < updates_.size(); ++j) {
        MatrixRef b = expert_matrix(updates_[j].b, e);
        b.data = static_cast<const u8*>(b.data) + column * b.row_bytes;
        b.rows = part.out;
        terms.push_back(
            term_of(t[j].data<const float>(), updates_[j].rank, updates_[j].rank, b, true));
        terms.back().never_int8 = true;
      }
      p.more = terms;
      products.push_back(p);
    }
    column += part.out;
  }
  run(products, x);
}

std::vector<Tensor> ExpertGroup::to_updates(const Tensor& dy) const {
  std::vector<Tensor> us;
  std::vector<ExpertProduct> products;
  for (const Update& update : updates_) {
    us.push_back(Tensor::empty({pairs_, update.rank}));
    for (i64 e = 0; e < experts_; ++e) {
      ExpertProduct p = product(e, dy, us.back());
      p.b = expert_matrix(update.b, e);
      p.b_transposed = false;
      p.alpha = update.factor;
      p.compute = unquantised(compute_);
      products.push_back(p);
    }
  }
  run(products, dy);
  return us;
}

void ExpertGroup::to_input(const Tensor& dy, std::span<const Tensor> u, const Tensor& dx) const {
  std::vector<ExpertProduct> products;
  std::vector<std::vector<GemmTerm>> more;
  more.reserve(experts_);
  for (i64 e = 0; e < experts_; ++e) {
    std::vector<GemmTerm>& terms = more.emplace_back();
    i64 column = 0;
    for (const ExpertMatrices& part : projection_.parts) {
      terms.push_back(term_of(dy.data<const float>() + column, out_, part.out, part.ref(e),
                              part.layout == WeightLayout::kInOut));
      column += part.out;
    }
    for (std::size_t j = 0; j < updates_.size(); ++j) {
      terms.push_back(term_of(u[j].data<const float>(), updates_[j].rank, updates_[j].rank,
                              expert_matrix(updates_[j].a, e), false));
      terms.back().never_int8 = true;
    }
    ExpertProduct p = product(e, dx, dx);
    set_term(p, terms[0]);
    p.more = std::span(terms).subspan(1);
    p.compute = compute_;
    products.push_back(p);
  }
  run(products, dy);
}

// [E, left's width, right's width]: the sum of outer products over the rows of each expert.
Tensor ExpertGroup::rows_gradient(const Tensor& left, const Tensor& right) const {
  Tensor out = Tensor::empty({experts_, left.dim(1), right.dim(1)});
  std::vector<ExpertProduct> products;
  for (i64 e = 0; e < experts_; ++e) {
    ExpertProduct p;
    set_term(p, term_of(left.data<const float>(), 1, pairs_, matrix_ref(right), false));
    p.a_col_stride = left.dim(1);
    p.M = left.dim(1);
    p.N = right.dim(1);
    p.c = out.data<float>() + e * p.M * p.N;
    p.c_row_stride = p.N;
    p.expert = e;
    p.sums_rows = true;
    products.push_back(p);
  }
  run(products, left);
  return out;
}

void ExpertGroup::append_inputs(std::vector<Tensor>& inputs) const {
  for (const ExpertUpdate& update : projection_.updates) {
    inputs.push_back(update.a);
    inputs.push_back(update.b);
  }
  for (const ExpertMatrices& part : projection_.parts) {
    inputs.push_back(part.bias);
  }
  for (const LeafBundle& bundle : bundles_) {
    inputs.insert(inputs.end(), bundle.tokens().begin(), bundle.tokens().end());
  }
}

int ExpertGroup::input_count() const {
  std::vector<Tensor> inputs;
  append_inputs(inputs);
  return static_cast<int>(inputs.size());
}

// dW = dy^T x, or its transpose; onto the gradient so far where that is the leaf's alone.
void ExpertGroup::matrix_gradients(const ExpertMatrices& part, i64 column, const LeafBundle& bundle,
                                   const Tensor& x, const Tensor& dy) const {
  std::vector<Tensor> targets;
  std::vector<bool> adds;
  for (std::size_t i = 0; i < part.trained.size(); ++i) {
    const Tensor so_far = gradient_so_far(trainable_leaf(part.trained[i]));
    adds.push_back(so_far.defined());
    targets.push_back(so_far.defined() ? so_far : Tensor::empty(part.trained[i].shape()));
    bundle.gradient(i) = so_far.defined() ? Tensor() : targets.back();
  }
  const bool out_in = part.layout == WeightLayout::kOutIn;
  const float* dy_part = dy.data<const float>() + column;
  std::vector<ExpertProduct> products;
  for (i64 e = 0; e < experts_; ++e) {
    const Tensor to = matrix_of(part, targets, e);
    MatrixRef right = matrix_ref(out_in ? x : dy);
    if (!out_in) {
      right.data = dy_part;
      right.cols = part.out;
    }
    ExpertProduct p;
    set_term(p, term_of(out_in ? dy_part : x.data<const float>(), 1, pairs_, right, false));
    p.a_col_stride = out_in ? out_ : part.in;
    p.M = to.dim(0);
    p.N = to.dim(1);
    p.c = to.data<float>();
    p.c_row_stride = p.N;
    p.addend = adds[part.trained.size() == 1 ? 0 : e] ? p.c : nullptr;
    p.addend_row_stride = p.N;
    p.compute = compute_;
    p.expert = e;
    p.sums_rows = true;
    products.push_back(p);
  }
  run(products, x);
}

void ExpertGroup::gradients(const Tensor& x, std::span<const Tensor> t, const Tensor& dy,
                            std::span<const Tensor> u, Wants wants, int first, Grads& grads) const {
  int input = first;
  for (std::size_t j = 0; j < updates_.size(); ++j, input += 2) {
    if (wants[input]) {
      grads[input] = rows_gradient(u[j], x).view({experts_ * updates_[j].rank, in()});
    }
    if (wants[input + 1]) {
      grads[input + 1] = unpacked_b(rows_gradient(dy, t[j]));
    }
  }
  i64 column = 0;
  for (const ExpertMatrices& part : projection_.parts) {
    if (wants[input]) {
      const Tensor own = dy.slice(1, column, column + part.out).contiguous();
      grads[input] = Tensor::empty({experts_, part.out});
      on(dy).expert_column_sums(own.in(), part.out, offsets_.span<const i32>(), grads[input].out(),
                                false);
    }
    column += part.out;
    ++input;
  }
  column = 0;
  for (std::size_t i = 0; i < bundles_.size(); ++i) {
    const ExpertMatrices& part = projection_.parts[i];
    if (!bundles_[i].tokens().empty() && wants[input]) {
      matrix_gradients(part, column, bundles_[i], x, dy);
    }
    for (std::size_t token = 0; token < bundles_[i].tokens().size(); ++token) {
      grads[input++] = Tensor::empty({1});  // says that the leaves' gradients are there
    }
    column += part.out;
  }
}

void ExpertGroup::add_bias_dots(const Tensor& dy, const Tensor& sums) const {
  INLAY_ASSERT(projection_.parts.size() == 1);
  on(dy).add_bias_dots(projection_.parts[0].bias.in(), dy.in(), out_, offsets_.span<const i32>(),
                       pair_.span<const i32>(), sums.out());
}

}  // namespace inlay
