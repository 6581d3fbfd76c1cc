// SPDX-License-Identifier: Apache-2.0
#include "core/ops/routing.h"

#include <utility>

#include "core/error.h"
#include "core/kernels/experts.h"
#include "core/ops/support.h"

namespace inlay {
namespace {

using kernels::RouterParams;

Tensor integers(const Shape& shape) {
  return Tensor::empty(shape, DType::kI32);
}

std::span<i32> ids_out(const Tensor& t) {
  return t.span<i32>();
}
std::span<const i32> ids_in(const Tensor& t) {
  return t.span<const i32>();
}

Tensor scaled_choices(const Tensor& weights, const Tensor& scale, const Tensor& choices) {
  Tensor y = Tensor::empty(weights.shape());
  on(y).scale_choices(scale.in(), ids_in(choices), weights.in(), y.out());
  return record("scale_choices", std::move(y), {weights, scale},
                [sw = save(weights, Keep::kExact, scale.requires_grad()),
                 ss = save(scale, Keep::kExact), choices](const Tensor& dy, Wants wants) -> Grads {
                  Tensor dweights = Tensor::empty(dy.shape());
                  Tensor dscale = wants[1] ? Tensor::empty(ss.get().shape()) : Tensor();
                  on(dy).scale_choices_backward(ss.get().in(), ids_in(choices),
                                                wants[1] ? sw.get().in() : std::span<const float>(),
                                                dy.in(), dweights.out(),
                                                wants[1] ? dscale.out() : std::span<float>());
                  return {wants[0] ? dweights : Tensor(), dscale};
                });
}

}  // namespace

Routing route(const Tensor& logits, const RoutingOptions& options, const Tensor& scale) {
  if (logits.rank() != 2 || options.chosen < 1 || options.chosen > logits.dim(1)) {
    throw ShapeError(
        str("route: ", options.chosen, " experts of logits ", logits.shape().to_string()));
  }
  const i64 N = logits.dim(0), E = logits.dim(1), k = options.chosen;
  const RouterParams params = {.experts = E, .chosen = k, .normalised = options.normalised};
  const Tensor z = contiguous(logits);
  Routing routing = {.experts = E,
                     .chosen = k,
                     .weights = Tensor::empty({N, k}),
                     .choices = integers({N, k}),
                     .offsets = integers({E + 1}),
                     .source = integers({N * k}),
                     .pair = integers({N * k}),
                     .place = integers({N * k})};
  const Tensor all = options.normalised ? Tensor() : Tensor::empty({N, E});
  on(z).route(params, z.in(), ids_out(routing.choices), routing.weights.out(),
              all.defined() ? all.out() : std::span<float>());
  on(z).sort_by_expert(params, ids_in(routing.choices), ids_out(routing.offsets),
                       ids_out(routing.source), ids_out(routing.pair), ids_out(routing.place));
  const auto kept = std::make_shared<Saved>();
  const Tensor choices = routing.choices;
  routing.weights =
      record("route", routing.weights, {z},
             [params, kept, all, choices](const Tensor& dy, Wants) -> Grads {
               Tensor dz = Tensor::empty({choices.dim(0), params.experts});
               on(dy).route_backward(params, ids_in(choices), kept->get().in(),
                                     all.defined() ? all.in() : std::span<const float>(), dy.in(),
                                     dz.out());
               return {dz};
             });
  *kept = save(routing.weights, Keep::kExact, routing.weights.requires_grad());
  if (scale.defined()) {
    check_shape("route: scale", scale, {E});
    routing.weights = scaled_choices(routing.weights, scale, choices);
  }
  return routing;
}

}  // namespace inlay
