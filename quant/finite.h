// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "core/kernels/matrix.h"

namespace inlay {

/// How many of the values in `data` are NaN or infinite: dense floats, or GGUF blocks, whose codes
/// are always finite and whose scales spoil all values of a block. As fast as memory is read.
i64 count_not_finite(kernels::MatrixFormat format, std::span<const std::byte> data);

/// Throws DataError `<file>: "<tensor>": …` with that number when it is not 0.
void require_finite(const std::string& file, const std::string& tensor,
                    kernels::MatrixFormat format, std::span<const std::byte> data);

}  // namespace inlay
