// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/backend/backend.h"

namespace inlay {

/// A device whose memory the host cannot touch: pages of this process that are closed but while one
/// of its kernels, or a copy in or out, is at work. Its kernels are the processor's. Whoever reads
/// or writes a value without asking the backend ends the program with a segmentation fault, so what
/// runs over it would run over a device of its own, too.
///
/// Bytes of the host are copied in, never read where they are. Questions (core/backend/kernels.h)
/// are answered with all pages closed: they may not look at values.
Backend& fence_backend();

}  // namespace inlay
