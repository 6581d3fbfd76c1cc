// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "core/config/help.h"
#include "core/config/schema.h"
#include "core/config/writer.h"
#include "core/error.h"
#include "tests/core/config_sample.h"

/// Fields that are one of an enum's words: all that is said of them comes from the enum's table.
namespace inlay {

enum class Gear { kPark, kDrive, kReverse };
template <>
struct ChoicesOf<Gear> {
  static std::span<const Choice<Gear>> all() {
    static constexpr Choice<Gear> kTable[] = {
        {"park", Gear::kPark}, {"drive", Gear::kDrive}, {"reverse", Gear::kReverse}};
    return kTable;
  }
};

namespace {

struct Car {
  Gear gear = Gear::kPark;
  AutoOr<Gear> next;
  AutoOr<Gear> moving = Gear::kDrive;

  void fields(FieldVisitor& v) {
    v.field("gear", gear, "the gear");
    v.field("next", next, "the one after it");
    v.choice("moving", moving, {Gear::kDrive, Gear::kReverse}, "one that moves");
  }
};

Car read_car(std::string_view text) {
  return read_config<Car>(sample_document(text));
}

std::string car_error(std::string_view text) {
  try {
    read_car(text);
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "no error";
}

TEST(ConfigChoice, ReadsWordsAsEnumerators) {
  const Car car = read_car(R"({"gear": "reverse", "next": "drive", "moving": "auto"})");
  EXPECT_EQ(car.gear, Gear::kReverse);
  EXPECT_EQ(car.next, Gear::kDrive);
  EXPECT_TRUE(car.moving.is_auto());
  EXPECT_TRUE(read_car(R"({"next": "auto"})").next.is_auto());
  EXPECT_EQ(read_car("{}").moving, Gear::kDrive) << "the default stays";
}

TEST(ConfigChoice, WritesWhatReadsBack) {
  const Car car = read_car(R"({"gear": "drive", "next": "park"})");
  const std::string text = config_text(car);
  EXPECT_EQ(nlohmann::json::parse(text),
            nlohmann::json::parse(R"({"gear": "drive", "next": "park", "moving": "drive"})"));
  EXPECT_EQ(config_text(read_car(text)), text);
  EXPECT_EQ(nlohmann::json::parse(config_text(Car()))["next"], "auto");
}

TEST(ConfigChoice, RefusesOtherWordsWithTheNearestOne) {
  EXPECT_EQ(car_error(R"({"gear": "parc"})"),
            "s.json: /gear: expected \"park\", \"drive\" or \"reverse\", found \"parc\" (did you "
            "mean \"park\"?)");
  EXPECT_EQ(car_error(R"({"gear": "auto"})"),
            "s.json: /gear: expected \"park\", \"drive\" or \"reverse\", found \"auto\"");
  EXPECT_EQ(car_error(R"({"next": 3})"),
            "s.json: /next: expected \"auto\", \"park\", \"drive\" or \"reverse\", found 3");
  EXPECT_EQ(car_error(R"({"moving": "park"})"),
            "s.json: /moving: expected \"auto\", \"drive\" or \"reverse\", found \"park\"");
}

TEST(ConfigChoice, IsDescribedByTheSameTable) {
  Car defaults;
  const std::vector<FieldRow> rows = field_rows(Fields(defaults));
  EXPECT_EQ(rows[0].type, R"("park", "drive" or "reverse")");
  EXPECT_EQ(rows[0].default_value, R"("park")");
  EXPECT_EQ(rows[2].type, R"("auto", "drive" or "reverse")");
  const nlohmann::json schema = nlohmann::json::parse(config_schema<Car>("car"))["properties"];
  EXPECT_EQ(schema["next"]["enum"],
            nlohmann::json::parse(R"(["auto", "park", "drive", "reverse"])"));
  EXPECT_EQ(schema["moving"]["enum"], nlohmann::json::parse(R"(["auto", "drive", "reverse"])"));
}

}  // namespace
}  // namespace inlay
