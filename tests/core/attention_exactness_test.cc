// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>
#include <vector>

#include "core/kernels/attention.h"
#include "core/kernels/philox.h"
#include "core/parallel.h"
#include "tests/support/attention_problem.h"
#include "tests/support/isas.h"

// What attention promises to the bit, and the proof of the reference form the other tests rest on.
namespace inlay::kernels {
namespace {

using testing::AttentionCase;
using testing::AttentionProblem;
using testing::GuardedRows;
using testing::packed;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

/// Equal bits in rows [begin, begin + count) of `a` and the rows from `other_begin` on of `b`.
bool same_rows(const GuardedRows<float>& a, i64 begin, const GuardedRows<float>& b, i64 other_begin,
               i64 count) {
  for (i64 r = 0; r < count; ++r) {
    if (std::memcmp(&a.at(begin + r, 0), &b.at(other_begin + r, 0), a.width() * sizeof(float)) !=
        0) {
      return false;
    }
  }
  return true;
}

void expect_same(const AttentionProblem<float>& a, const AttentionProblem<float>& b) {
  EXPECT_TRUE(same_rows(a.o, 0, b.o, 0, a.o.rows()));
  EXPECT_EQ(std::memcmp(a.lse.data(), b.lse.data(), a.lse.size() * sizeof(float)), 0);
  EXPECT_TRUE(same_rows(a.dq, 0, b.dq, 0, a.dq.rows()));
  EXPECT_TRUE(same_rows(a.dk, 0, b.dk, 0, a.dk.rows()));
  EXPECT_TRUE(same_rows(a.dv, 0, b.dv, 0, a.dv.rows()));
}

class AttentionExactness : public testing::OnEachIsa {};
INLAY_ON_EACH_ISA(AttentionExactness);

TEST_P(AttentionExactness, ThreadsDoNotChangeABit) {
  const std::vector<AttentionCase> cases = {
      {packed({{77, 77}, {200, 200}, {3, 3}}), 6, 2, 64},
      {packed({{600, 600}}), 3, 1, 24},            // queries in chunks, dK and dV added up
      {packed({{600, 600}}), 8, 2, 16, true, 50},  // in place of dK and dV
      {packed({{1, 4500}, {2, 300}}), 4, 2, 32},   // keys in parts
      {packed({{70, 70}}), 4, 4, 40, false, 0, 0.0F, 0.3F}};
  for (const AttentionCase& c : cases) {
    SCOPED_TRACE(testing::name_of(c));
    const AttentionProblem<float> fresh(c);
    AttentionProblem<float> alone = fresh;
    set_num_threads(1);
    run_tiled(alone);
    for (const int threads : {2, 4, 7}) {
      AttentionProblem<float> shared = fresh;
      set_num_threads(threads);
      run_tiled(shared);
      expect_same(alone, shared);
    }
    set_num_threads(available_processors());
  }
}

class AttentionBf16Exactness : public testing::OnEachIsa {};
INSTANTIATE_TEST_SUITE_P(, AttentionBf16Exactness,
                         ::testing::ValuesIn(testing::all_supported_isas()),
                         testing::isa_test_name);

TEST_P(AttentionBf16Exactness, ThreadsDoNotChangeABit) {
  constexpr AttentionCompute kBf16 = AttentionCompute::kBf16;
  const std::vector<AttentionCase> cases = {
      {packed({{77, 77}, {200, 200}, {3, 3}}), 6, 2, 64, true, 0, 0.0F, 0.0F, 1.0F, kBf16},
      {packed({{600, 600}}), 3, 1, 24, true, 0, 0.0F, 0.0F, 1.0F, kBf16},
      {packed({{600, 600}}), 8, 2, 16, true, 50, 0.0F, 0.0F, 1.0F, kBf16},
      {packed({{1, 4500}, {150, 300}}), 4, 2, 32, true, 0, 0.0F, 0.3F, 1.0F, kBf16}};
  for (const AttentionCase& c : cases) {
    SCOPED_TRACE(testing::name_of(c));
    const AttentionProblem<float> fresh(c);
    AttentionProblem<float> alone = fresh;
    set_num_threads(1);
    run_tiled(alone);
    for (const int threads : {2, 7}) {
      AttentionProblem<float> shared = fresh;
      set_num_threads(threads);
      run_tiled(shared);
      expect_same(alone, shared);
    }
    set_num_threads(available_processors());
  }
}

/// The segment `s` of `together` as a problem of its own.
AttentionProblem<float> alone(const AttentionProblem<float>& together, const Segment& s) {
  AttentionCase c = together.shape;
  c.segments = packed({{s.q_count, s.k_count}});
  AttentionProblem<float> p(c);
  const auto copy = [](const GuardedRows<float>& from, i64 begin, GuardedRows<float>& to) {
    for (i64 r = 0; r < to.rows(); ++r) {
      std::copy_n(&from.at(begin + r, 0), to.width(), &to.at(r, 0));
    }
  };
  copy(together.q, s.q_begin, p.q);
  copy(together.dO, s.q_begin, p.dO);
  copy(together.k, s.k_begin, p.k);
  copy(together.v, s.k_begin, p.v);
  return p;
}

TEST_P(AttentionExactness, ASegmentIsTheSameAloneAndPacked) {
  AttentionProblem<float> together(
      {packed({{77, 77}, {1, 2100}, {600, 600}, {16, 16}, {5, 40}}), 3, 1, 40, true, 90, 20.0F});
  run_tiled(together);
  for (const Segment& s : together.shape.segments) {
    AttentionProblem<float> p = alone(together, s);
    run_tiled(p);
    EXPECT_TRUE(same_rows(together.o, s.q_begin, p.o, 0, s.q_count)) << s.q_count;
    EXPECT_TRUE(same_rows(together.dq, s.q_begin, p.dq, 0, s.q_count)) << s.q_count;
    EXPECT_TRUE(same_rows(together.dk, s.k_begin, p.dk, 0, s.k_count)) << s.q_count;
    EXPECT_TRUE(same_rows(together.dv, s.k_begin, p.dv, 0, s.k_count)) << s.q_count;
  }
}

TEST_P(AttentionBf16Exactness, ASegmentIsTheSameAloneAndPacked) {
  AttentionProblem<float> together({packed({{77, 77}, {1, 2100}, {600, 600}, {16, 16}, {5, 40}}), 3,
                                    1, 40, true, 90, 20.0F, 0.0F, 1.0F, AttentionCompute::kBf16});
  run_tiled(together);
  for (const Segment& s : together.shape.segments) {
    AttentionProblem<float> p = alone(together, s);
    run_tiled(p);
    EXPECT_TRUE(same_rows(together.o, s.q_begin, p.o, 0, s.q_count)) << s.q_count;
    EXPECT_TRUE(same_rows(together.dq, s.q_begin, p.dq, 0, s.q_count)) << s.q_count;
    EXPECT_TRUE(same_rows(together.dk, s.k_begin, p.dk, 0, s.k_count)) << s.q_count;
    EXPECT_TRUE(same_rows(together.dv, s.k_begin, p.dv, 0, s.k_count)) << s.q_count;
  }
}

/// How many elements of rows [begin, end) a predicate holds for.
template <class Predicate>
i64 count(const GuardedRows<float>& x, i64 begin, i64 end, Predicate holds) {
  i64 found = 0;
  for (i64 r = begin; r < end; ++r) {
    found += std::count_if(&x.at(r, 0), &x.at(r, 0) + x.width(), holds);
  }
  return found;
}
i64 nans(const GuardedRows<float>& x, i64 begin, i64 end) {
  return count(x, begin, end, [](float value) { return std::isnan(value); });
}
i64 nonzeros(const GuardedRows<float>& x, i64 begin, i64 end) {
  return count(x, begin, end, [](float value) { return value != 0.0F; });
}

void expect_rows_outside_segments_left_alone(AttentionCompute compute) {
  // Query rows 3 to 5 and key rows 4 to 6 belong to nobody, and hold NaNs.
  AttentionProblem<float> p({{{0, 3, 0, 4}, {6, 20, 7, 20}}, 2, 1, 16});
  p.params.compute = compute;
  run_tiled(p);
  const auto only_nans = [](const GuardedRows<float>& x, i64 begin, i64 end) {
    return nans(x, begin, end) == (end - begin) * x.width() &&
           nans(x, 0, x.rows()) == (end - begin) * x.width();
  };
  EXPECT_TRUE(only_nans(p.o, 3, 6));
  EXPECT_TRUE(only_nans(p.dq, 3, 6));
  EXPECT_TRUE(only_nans(p.dk, 4, 7));
  EXPECT_TRUE(only_nans(p.dv, 4, 7));
}

TEST_P(AttentionExactness, RowsOutsideEverySegmentAreLeftAlone) {
  expect_rows_outside_segments_left_alone(AttentionCompute::kF32);
}
TEST_P(AttentionBf16Exactness, RowsOutsideEverySegmentAreLeftAlone) {
  expect_rows_outside_segments_left_alone(AttentionCompute::kBf16);
}

void expect_rows_that_see_no_key_zero(AttentionCompute compute) {
  // Aligned at the bottom right, the first 60 of 64 queries stand before the first of 4 keys; a
  // segment without keys shows its queries nothing at all, one without queries leaves its keys
  // alone.
  AttentionProblem<float> p({packed({{64, 4}, {3, 0}, {0, 2}}), 3, 1, 24});
  p.params.compute = compute;
  run_tiled(p);
  for (const GuardedRows<float>* x : {&p.o, &p.dq}) {
    EXPECT_EQ(nonzeros(*x, 0, 60) + nonzeros(*x, 64, 67), 0);
    EXPECT_EQ(nans(*x, 0, 67), 0);
  }
  EXPECT_EQ(nonzeros(p.o, 60, 64), 4 * p.o.width());
  EXPECT_EQ(std::count(p.lse.begin(), p.lse.end(), kInfinity), 3 * (60 + 3));
  EXPECT_EQ(nonzeros(p.dk, 4, 6) + nonzeros(p.dv, 4, 6), 0);
}

TEST_P(AttentionExactness, RowsThatSeeNoKeyAreZero) {
  expect_rows_that_see_no_key_zero(AttentionCompute::kF32);
}
TEST_P(AttentionBf16Exactness, RowsThatSeeNoKeyAreZero) {
  expect_rows_that_see_no_key_zero(AttentionCompute::kBf16);
}

TEST_P(AttentionExactness, ANotANumberStaysInItsRow) {
  AttentionProblem<float> p({packed({{40, 40}}), 3, 1, 16});
  p.q.at(17, 20) = std::nanf("");  // query 17, head 1
  run_tiled(p);
  EXPECT_EQ(nans(p.o, 0, 40), 16);
  EXPECT_TRUE(std::isnan(p.o.at(17, 16)));
}

constexpr i64 kDropoutKeys = 64;
constexpr float kDropout = 0.15F;

/// Of outputs that are weights (V is the identity): how many were dropped, or -1 when that is not
/// as the header says.
i64 dropped_as_told(const AttentionProblem<float>& p) {
  i64 dropped = 0;
  for (i64 row = 0; row < p.o.rows(); ++row) {
    for (i64 i = 0; i < p.o.width(); ++i) {
      const u64 segment = static_cast<u64>(row / kDropoutKeys);
      const u64 query = static_cast<u64>(row % kDropoutKeys);
      const u64 head = static_cast<u64>(i / kDropoutKeys), key = static_cast<u64>(i % kDropoutKeys);
      const PhiloxWords words =
          philox(p.params.dropout_key, query << 32 | key / 4, head << 32 | segment);
      const bool drops = words.word[key % 4] < static_cast<double>(kDropout) * 0x1p32;
      if ((p.o.at(row, i) == 0.0F) != drops) {
        return -1;
      }
      dropped += drops ? 1 : 0;
    }
  }
  return dropped;
}

TEST_P(AttentionExactness, DropoutIsAFunctionOfKeyAndPosition) {
  constexpr i64 T = kDropoutKeys;
  const AttentionCase c = {
      packed({{T, T}, {T, T}, {T, T}, {T, T}}), 8, 2, T, false, 0, 0.0F, kDropout};
  AttentionProblem<float> p(c);
  p.v.fill(0.0F);
  for (i64 row = 0; row < p.v.rows(); ++row) {
    p.v.at(row, row % T) = 1.0F;
    p.v.at(row, T + row % T) = 1.0F;
  }
  run_tiled(p);
  // Three standard deviations of the share among 4 * 64 * 8 * 64 draws.
  const double draws = static_cast<double>(p.o.rows() * p.o.width());
  const double deviation = std::sqrt(static_cast<double>(kDropout * (1.0F - kDropout)) / draws);
  EXPECT_NEAR(static_cast<double>(dropped_as_told(p)) / draws, static_cast<double>(kDropout),
              3 * deviation);
}

TEST_P(AttentionBf16Exactness, ScratchGrowsWithTheLengthNotItsSquare) {
  const auto scratch = [](i64 T) {
    const std::vector<Segment> segments = packed({{T, T}});
    AttentionParams params = testing::params_of({segments, 2, 1, 16});
    params.compute = AttentionCompute::kBf16;
    return std::pair(attention_forward_scratch(params, segments),
                     attention_backward_scratch(params, segments));
  };
  const auto [forward, backward] = scratch(20000);
  const auto [forward_twice, backward_twice] = scratch(40000);
  EXPECT_LE(forward_twice, 2 * forward);
  EXPECT_LE(backward_twice, 2 * backward);
}

TEST(AttentionScratch, GrowsWithTheLengthNotItsSquare) {
  const auto scratch = [](i64 T) {
    const std::vector<Segment> segments = packed({{T, T}});
    const AttentionParams params = testing::params_of({segments, 2, 1, 16});
    return std::pair(attention_forward_scratch(params, segments),
                     attention_backward_scratch(params, segments));
  };
  const auto [forward, backward] = scratch(20000);
  const auto [forward_twice, backward_twice] = scratch(40000);
  EXPECT_EQ(forward_twice, forward);
  EXPECT_LE(backward_twice, 2 * backward);
}

double loss(AttentionProblem<double>& p) {
  std::vector<float> scratch(reference::attention_scratch(p.shape.segments));
  reference::attention_forward(p.params, p.shape.segments, p.forward_args(), scratch);
  double sum = 0.0;
  for (i64 r = 0; r < p.o.rows(); ++r) {
    for (i64 i = 0; i < p.o.width(); ++i) {
      sum += p.o.at(r, i) * p.dO.at(r, i);
    }
  }
  return sum;
}

/// (loss(x + h) - loss(x - h)) / 2h against the gradient, for every element.
void expect_derivative(AttentionProblem<double>& p, GuardedRows<double>& x,
                       const GuardedRows<double>& gradient) {
  constexpr double kStep = 1e-5;
  for (i64 r = 0; r < x.rows(); ++r) {
    for (i64 i = 0; i < x.width(); ++i) {
      const double here = x.at(r, i);
      x.at(r, i) = here + kStep;
      const double above = loss(p);
      x.at(r, i) = here - kStep;
      const double below = loss(p);
      x.at(r, i) = here;
      // h^2 = 1e-10 times a third derivative of some tens; rounding, 1e-15 / h, is as small.
      ASSERT_NEAR(gradient.at(r, i), (above - below) / (2 * kStep), 1e-8) << r << " " << i;
    }
  }
}

TEST(AttentionReference, GradientsAreTheDerivativesOfTheForwardPass) {
  const std::vector<AttentionCase> cases = {
      {packed({{5, 5}}), 1, 1, 3},
      {packed({{4, 7}, {6, 2}}), 4, 2, 3},
      {packed({{6, 6}}), 3, 1, 2, true, 3, 1.5F},
      {packed({{5, 6}}), 2, 1, 4, false, 0, 0.0F, 0.4F},
      {packed({{3, 3}, {5, 5}}), 2, 2, 3, true, 2, 2.0F, 0.3F}};
  for (const AttentionCase& c : cases) {
    SCOPED_TRACE(testing::name_of(c));
    AttentionProblem<double> p(c);
    run_reference(p);
    expect_derivative(p, p.q, p.dq);
    expect_derivative(p, p.k, p.dk);
    expect_derivative(p, p.v, p.dv);
  }
}

TEST(AttentionReference, OneQueryAndTwoKeysByHand) {
  // Scores ln 3 and 0: weights 3/4 and 1/4.
  AttentionProblem<double> p({packed({{1, 2}}), 1, 1, 1});
  p.q.at(0, 0) = 1.0;
  p.k.at(0, 0) = std::log(3.0);
  p.k.at(1, 0) = 0.0;
  p.v.at(0, 0) = 8.0;
  p.v.at(1, 0) = 4.0;
  p.dO.at(0, 0) = 1.0;
  run_reference(p);
  EXPECT_DOUBLE_EQ(p.o.at(0, 0), 7.0);
  EXPECT_DOUBLE_EQ(p.lse[0], std::log(4.0));
  EXPECT_DOUBLE_EQ(p.dv.at(0, 0), 0.75);
  EXPECT_DOUBLE_EQ(p.dk.at(0, 0), 0.75 * (8.0 - 7.0));
  EXPECT_DOUBLE_EQ(p.dq.at(0, 0), 0.75 * std::log(3.0));
}

}  // namespace
}  // namespace inlay::kernels
