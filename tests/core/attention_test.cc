// SPDX-License-Identifier: Apache-2.0
#include "core/kernels/attention.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "tests/support/attention_problem.h"
#include "tests/support/isas.h"

// The tiled form against the naive one in double, over everything the header promises.
namespace inlay::kernels {
namespace {

using testing::AttentionCase;
using testing::AttentionProblem;
using testing::for_each_isa;
using testing::GuardedRows;
using testing::packed;

/// Relative to the largest element. A score (up to 8 in base 2) is a sum of D products whose
/// roundings, 2^-24 of the sum so far, add up like a random walk: some 30 of 2^-24 for D = 64. A
/// weight takes that twice, from its own score and from the row's sum, and twice the error of exp2
/// (3 of 2^-24).
constexpr double kTolerance = 80 * 0x1p-24;

void expect_within(const char* what, const GuardedRows<double>& want, const GuardedRows<float>& got,
                   double tolerance) {
  for (i64 r = 0; r < want.rows(); ++r) {
    for (i64 c = 0; c < want.width(); ++c) {
      ASSERT_NEAR(got.at(r, c), want.at(r, c), tolerance)
          << what << " row " << r << " column " << c;
    }
  }
  EXPECT_TRUE(got.gaps_untouched()) << what;
}

/// `floor` is the size of numbers that cancel in the result: theirs is the rounding then.
void expect_near(const char* what, const GuardedRows<double>& want, const GuardedRows<float>& got,
                 double floor = 0.0) {
  expect_within(what, want, got, kTolerance * want.largest() + 8 * 0x1p-24 * floor);
}

/// In dS = P (dP - delta) both are up to |dO| |v|, and may cancel.
double largest_dS(const AttentionProblem<double>& p) {
  const i64 D = p.shape.head_dim;
  return std::abs(static_cast<double>(p.params.scale)) * p.dO.largest_norm(D) *
         p.v.largest_norm(D) / (1.0 - static_cast<double>(p.shape.dropout));
}

void expect_matches(const AttentionProblem<double>& want, const AttentionProblem<float>& got) {
  expect_near("o", want.o, got.o);
  for (i64 i = 0; i < static_cast<i64>(want.lse.size()); ++i) {
    if (std::isinf(want.lse[i])) {
      EXPECT_EQ(got.lse[i], std::numeric_limits<float>::infinity());
    } else {
      EXPECT_NEAR(got.lse[i], want.lse[i], kTolerance * std::max(1.0, std::abs(want.lse[i])));
    }
  }
  const double dS = largest_dS(want);
  expect_near("dq", want.dq, got.dq, dS * want.k.largest());
  expect_near("dk", want.dk, got.dk, dS * want.q.largest());
  expect_near("dv", want.dv, got.dv);
}

void expect_parity(const std::vector<AttentionCase>& cases) {
  for (const AttentionCase& c : cases) {
    SCOPED_TRACE(name_of(c));
    AttentionProblem<double> want(c);
    run_reference(want);
    const AttentionProblem<float> fresh(c);
    for_each_isa([&] {
      AttentionProblem<float> got = fresh;
      run_tiled(got);
      expect_matches(want, got);
    });
  }
}

// Around the 8 keys and 16 rows of a register block, the 48 rows and 128 keys of a tile.
constexpr i64 kLengths[] = {1, 2, 7, 15, 16, 17, 47, 48, 49, 63, 64, 65, 77, 127, 129, 200};
constexpr i64 kHeadDims[] = {64, 8, 16, 24, 32, 40, 80, 96, 128, 20, 64, 9, 256};
struct Group {
  i64 heads, kv_heads;
};
constexpr Group kGroups[] = {{3, 1}, {2, 2}, {4, 1}, {6, 2}, {1, 1}, {7, 1}, {8, 1}, {5, 5}};

/// One case a length, each with the next head size and group, so that every option meets many of
/// both.
std::vector<AttentionCase> over_lengths(i64 turn, const AttentionCase& options) {
  std::vector<AttentionCase> cases;
  for (const i64 T : kLengths) {
    AttentionCase c = options;
    const Group group = kGroups[turn % std::ssize(kGroups)];
    c.segments = packed({{T, T}});
    c.head_dim = kHeadDims[turn % std::ssize(kHeadDims)];
    c.heads = group.heads;
    c.kv_heads = group.kv_heads;
    cases.push_back(c);
    ++turn;
  }
  return cases;
}

TEST(Attention, MatchesReferenceUnderACausalMask) {
  expect_parity(over_lengths(0, {}));
  expect_parity(over_lengths(5, {}));
}

TEST(Attention, MatchesReferenceWithoutAMask) {
  expect_parity(over_lengths(1, {.causal = false}));
}

TEST(Attention, MatchesReferenceInASlidingWindow) {
  expect_parity(over_lengths(2, {.window = 1}));
  expect_parity(over_lengths(3, {.window = 13}));
  expect_parity(over_lengths(4, {.window = 64}));
  expect_parity(over_lengths(5, {.causal = false, .window = 20}));
}

TEST(Attention, MatchesReferenceWithASoftcap) {
  expect_parity(over_lengths(6, {.softcap = 5.0F}));
  expect_parity(over_lengths(7, {.causal = false, .softcap = 0.5F}));
}

TEST(Attention, MatchesReferenceWithDropout) {
  expect_parity(over_lengths(8, {.dropout = 0.1F}));
  expect_parity(over_lengths(9, {.window = 21, .softcap = 2.0F, .dropout = 0.5F}));
}

TEST(Attention, MatchesReferenceWhenQueriesAndKeysDifferInNumber) {
  std::vector<AttentionCase> cases;
  for (const auto& [queries, keys] : std::vector<std::pair<i64, i64>>{{1, 1},
                                                                      {1, 77},
                                                                      {1, 130},
                                                                      {3, 65},
                                                                      {17, 200},
                                                                      {64, 65},
                                                                      {50, 129},
                                                                      {130, 131},
                                                                      {5, 3},
                                                                      {65, 17},
                                                                      {100, 1}}) {
    const i64 turn = std::ssize(cases);
    const Group group = kGroups[turn % std::ssize(kGroups)];
    const i64 D = kHeadDims[turn % std::ssize(kHeadDims)];
    for (const bool causal : {true, false}) {
      cases.push_back({packed({{queries, keys}}), group.heads, group.kv_heads, D, causal});
    }
    cases.push_back({packed({{queries, keys}}), group.heads, group.kv_heads, D, true, 10});
  }
  expect_parity(cases);
}

TEST(Attention, MatchesReferenceOverPackedSegments) {
  const auto segments = packed({{77, 77}, {1, 1}, {64, 64}, {5, 40}, {16, 16}, {129, 129}});
  expect_parity({{segments, 6, 2, 64},
                 {segments, 3, 3, 24, false},
                 {segments, 4, 1, 32, true, 9, 3.0F, 0.2F}});
}

TEST(Attention, MatchesReferenceWhenKeysAreSplitForADecoder) {
  expect_parity({{packed({{1, 5000}}), 3, 1, 16},
                 {packed({{2, 4099}}), 8, 2, 24},
                 {packed({{1, 3000}}), 2, 2, 8, true, 2500}});
}

TEST(Attention, MatchesReferenceWhenQueriesAreSplitIntoChunks) {
  expect_parity({{packed({{530, 530}}), 3, 1, 16},
                 {packed({{800, 800}}), 4, 1, 24, true, 100},
                 {packed({{400, 450}}), 8, 1, 16, false}});
}

// Gemma 4's layers of full attention have heads of 512 values.
std::vector<AttentionCase> of_large_heads() {
  return {{packed({{130, 130}}), 4, 1, 512},
          {packed({{77, 77}, {1, 1}, {49, 49}}), 2, 2, 512, true, 13, 3.0F},
          {packed({{1, 300}}), 8, 2, 512},
          {packed({{65, 129}}), 3, 1, 320, true, 40},
          {packed({{50, 50}}), 2, 1, 500, false}};
}

TEST(Attention, MatchesReferenceWithLargeHeads) {
  expect_parity(of_large_heads());
}

TEST(Attention, FollowsARisingMaximum) {
  // The score grows by about 1 a key: the running maximum moves in every block.
  AttentionCase c = {packed({{300, 300}}), 3, 1, 16};
  AttentionProblem<double> want(c);
  AttentionProblem<float> got(c);
  for (i64 key = 0; key < 300; ++key) {
    const float height = static_cast<float>(key) / 40.0F;
    std::fill_n(&want.k.at(key, 0), 16, static_cast<double>(height));
    std::fill_n(&got.k.at(key, 0), 16, height);
  }
  run_reference(want);
  run_tiled(got);
  expect_matches(want, got);
}

/// With operands that bf16 holds exactly, what remains is the rounding of the weights and of their
/// gradients where they are multiplied: 2^-9 of each at most.
void expect_bf16_matches(const AttentionProblem<double>& want, const AttentionProblem<float>& got) {
  constexpr double kHalfPlace = 0x1p-9;
  const double kept = 1.0 - static_cast<double>(want.shape.dropout);
  expect_within("o", want.o, got.o, (kHalfPlace + kTolerance) * want.v.largest() / kept);
  for (i64 i = 0; i < static_cast<i64>(want.lse.size()); ++i) {
    if (std::isinf(want.lse[i])) {
      EXPECT_EQ(got.lse[i], std::numeric_limits<float>::infinity());
    } else {  // no rounded number in it
      EXPECT_NEAR(got.lse[i], want.lse[i], kTolerance * std::max(1.0, std::abs(want.lse[i])));
    }
  }
  // The roundings of a sum add up like a random walk, as its terms do: 2^-9 of the result, here
  // three times that for the largest of many. delta carries the error of o, but that of |dO| |v|
  // only in rows of a single large term; a quarter covers it.
  const double dS = kHalfPlace / 4 * largest_dS(want);
  expect_within("dq", want.dq, got.dq, 3 * kHalfPlace * want.dq.largest() + dS * want.k.largest());
  expect_within("dk", want.dk, got.dk, 3 * kHalfPlace * want.dk.largest() + dS * want.q.largest());
  expect_within("dv", want.dv, got.dv, 3 * kHalfPlace * want.dv.largest());
}

void expect_bf16_parity(std::vector<AttentionCase> cases) {
  for (AttentionCase& c : cases) {
    SCOPED_TRACE(name_of(c));
    c.compute = AttentionCompute::kBf16;
    AttentionProblem<double> want(c);
    AttentionProblem<float> fresh(c);
    want.round_to_bf16();
    fresh.round_to_bf16();
    run_reference(want);
    for (const Isa isa : testing::all_supported_isas()) {
      SCOPED_TRACE(isa_name(isa));
      const testing::IsaScope scope(isa);
      AttentionProblem<float> got = fresh;
      run_tiled(got);
      expect_bf16_matches(want, got);
    }
  }
}

TEST(AttentionBf16, MatchesReferenceOverLengthsHeadSizesAndGroups) {
  expect_bf16_parity(over_lengths(0, {}));
  expect_bf16_parity(over_lengths(5, {}));
  expect_bf16_parity(over_lengths(1, {.causal = false}));
  expect_bf16_parity({{packed({{530, 530}}), 3, 1, 64},
                      {packed({{400, 400}}), 2, 2, 24},
                      {packed({{400, 450}}), 8, 1, 16, false}});
}

TEST(AttentionBf16, MatchesReferenceWithLargeHeads) {
  expect_bf16_parity(of_large_heads());
}

TEST(AttentionBf16, MatchesReferenceInASlidingWindow) {
  expect_bf16_parity(over_lengths(3, {.window = 13}));
  expect_bf16_parity(over_lengths(5, {.causal = false, .window = 20}));
  expect_bf16_parity({{packed({{800, 800}}), 4, 1, 24, true, 100}});
}

TEST(AttentionBf16, MatchesReferenceWithASoftcapAndDropout) {
  expect_bf16_parity(over_lengths(6, {.softcap = 5.0F}));
  expect_bf16_parity(over_lengths(8, {.dropout = 0.1F}));
  expect_bf16_parity(over_lengths(9, {.window = 21, .softcap = 2.0F, .dropout = 0.5F}));
}

TEST(AttentionBf16, MatchesReferenceOverPackedSegments) {
  const auto segments = packed({{77, 77}, {1, 1}, {64, 64}, {5, 40}, {16, 16}, {129, 129}, {7, 3}});
  expect_bf16_parity({{segments, 6, 2, 64}, {segments, 4, 1, 32, true, 9, 3.0F, 0.2F}});
}

TEST(AttentionBf16, OfADecoderIsTheF32One) {
  AttentionCase c = {packed({{2, 4099}}), 8, 2, 24};
  AttentionProblem<float> f32(c);
  c.compute = AttentionCompute::kBf16;
  AttentionProblem<float> bf16(c);
  run_tiled(f32);
  run_tiled(bf16);
  for (i64 r = 0; r < f32.o.rows(); ++r) {
    for (i64 i = 0; i < f32.o.width(); ++i) {
      ASSERT_EQ(bf16.o.at(r, i), f32.o.at(r, i));
    }
  }
}

TEST(AttentionBf16, RoundsItsOperands) {
  AttentionProblem<float> exact({packed({{150, 150}}), 3, 1, 40});
  exact.params.compute = AttentionCompute::kBf16;
  AttentionProblem<float> rounded = exact;
  rounded.round_to_bf16();
  for (const Isa isa : testing::all_supported_isas()) {
    SCOPED_TRACE(isa_name(isa));
    const testing::IsaScope scope(isa);
    run_tiled(exact);
    run_tiled(rounded);
    for (i64 r = 0; r < exact.o.rows(); ++r) {
      for (i64 i = 0; i < exact.o.width(); ++i) {
        ASSERT_EQ(exact.o.at(r, i), rounded.o.at(r, i)) << r << " " << i;
      }
    }
    EXPECT_EQ(exact.lse, rounded.lse);
  }
}

}  // namespace
}  // namespace inlay::kernels
