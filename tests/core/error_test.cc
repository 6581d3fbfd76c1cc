// SPDX-License-Identifier: Apache-2.0
#include "core/error.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <vector>

#include "core/checked.h"

namespace inlay {
namespace {

TEST(Error, CarriesTheExitCodeOfItsType) {
  EXPECT_EQ(ConfigError("x").exit_code(), ExitCode::kUsage);
  EXPECT_EQ(DataError("x").exit_code(), ExitCode::kData);
  EXPECT_EQ(MemoryError("x").exit_code(), ExitCode::kMemory);
  EXPECT_EQ(DivergedError("x").exit_code(), ExitCode::kDiverged);
  EXPECT_EQ(VerificationError("x").exit_code(), ExitCode::kVerification);
}

TEST(Error, NearestNameForgivesSwapsAndDropsWildGuesses) {
  const std::vector<std::string> keys = {"lora_alpha", "lora_dropout", "r"};
  EXPECT_EQ(did_you_mean("lora_aplha", keys), " (did you mean \"lora_alpha\"?)");
  EXPECT_EQ(nearest_name("lora_dropuot", keys), "lora_dropout");
  EXPECT_EQ(nearest_name("quantization", keys), "");
  EXPECT_EQ(did_you_mean("r", keys), "") << "offers the name it was given";
}

TEST(Error, EditDistanceCountsSwappedNeighboursOnce) {
  EXPECT_EQ(edit_distance("", "abc"), 3);
  EXPECT_EQ(edit_distance("abcd", "acbd"), 1);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3);
}

TEST(Error, PrintableTextHasNoControlCharactersAndWholeLetters) {
  EXPECT_EQ(printable("a\nb\x7f"), "a\\x0ab\\x7f");
  EXPECT_EQ(printable("abc\xC3\xA9", 4), "abc...");
}

TEST(CheckedSize, RefusesWhatDoesNotFit) {
  EXPECT_THROW(CheckedSize(-1, "count"), DataError);
  EXPECT_THROW(CheckedSize(std::numeric_limits<u64>::max(), "count"), DataError);
  const CheckedSize big(i64{1} << 40, "size");
  EXPECT_THROW(big * (i64{1} << 40), DataError);
  EXPECT_THROW(CheckedSize(std::numeric_limits<i64>::max(), "end") + 1, DataError);
  EXPECT_EQ((big * 3 + 5).value(), 3 * (i64{1} << 40) + 5);
  EXPECT_EQ(CheckedSize(33, "offset").rounded_up(32).value(), 64);
  EXPECT_THROW(CheckedSize(10, "length").at_most(9, "the bytes left"), DataError);
}

}  // namespace
}  // namespace inlay
