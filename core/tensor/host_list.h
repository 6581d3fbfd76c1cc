// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "core/segments.h"
#include "core/tensor/tensor.h"

namespace inlay {

/// A list that the host makes and kernels read: which rows, which tokens, which segments. The host
/// goes on knowing it, for its checks and to plan by; a device gets a copy at the first need, or
/// reads the host's where it can. Cheap to copy, and never changed.
template <class T>
class HostList {
 public:
  HostList() : HostList(std::vector<T>()) {}
  // NOLINTBEGIN(google-explicit-constructor): a list may stand where a parameter asks for it
  HostList(std::vector<T> values) : state_(std::make_shared<State>()) {
    state_->host = std::move(values);
  }
  template <class Values>
  requires(std::convertible_to<const Values&, std::span<const T>> &&
           !std::same_as<Values, HostList> && !std::same_as<Values, std::vector<T>>)
      HostList(const Values& values)
      : HostList([&] {
          const std::span<const T> list(values);
          return std::vector<T>(list.begin(), list.end());
        }()) {}
  // NOLINTEND(google-explicit-constructor)

  i64 size() const { return static_cast<i64>(state_->host.size()); }
  std::span<const T> host() const { return state_->host; }
  /// The same in the memory of the current backend: an argument of kernels.
  std::span<const T> device() const {
    if (current_backend().reads_host_bytes()) {
      return state_->host;
    }
    if (!state_->copy.defined() && size() > 0) {
      const auto bytes = std::as_bytes(std::span(state_->host));
      state_->copy = Tensor::from_bytes(bytes, {std::ssize(bytes)}, DType::kU8);
    }
    return {size() > 0 ? static_cast<const T*>(state_->copy.raw()) : nullptr, state_->host.size()};
  }

 private:
  struct State {
    std::vector<T> host;
    Tensor copy;
  };
  std::shared_ptr<State> state_;
};

using Indices = HostList<i32>;
using Segments = HostList<Segment>;

}  // namespace inlay
