#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs what is missing, builds, and passes all tests, those with the real model included.
#   ./test.sh [CTEST OPTION...]      e.g. ./test.sh -R Tokenizer
set -euo pipefail
cd "$(dirname "$0")"
.ci/install build model lint
.ci/format --check
cmake --preset release -DBUILD_TESTING=ON -DINLAY_WERROR="${INLAY_WERROR:-OFF}" >/dev/null
cmake --build build/release
INLAY_REAL_MODEL=$(.ci/fetch-model) || echo "the real model could not be fetched: its tests will be skipped" >&2
export INLAY_REAL_MODEL
ctest --test-dir build/release -j"$(nproc)" --no-tests=error --output-on-failure "$@"
