// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>

namespace inlay {

/// The benchmarks of `inlay bench`, each with the words after its name.
int bench_train(std::span<const std::string> arguments);
int bench_attention_command(std::span<const std::string> arguments);
int bench_gemm_command(std::span<const std::string> arguments);
int bench_quant_command(std::span<const std::string> arguments);
int bench_generate(std::span<const std::string> arguments);
int bench_tokenize(std::span<const std::string> arguments);

}  // namespace inlay
