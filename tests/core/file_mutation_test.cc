// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/config/json.h"
#include "core/error.h"
#include "core/io/file_system.h"
#include "core/io/gguf.h"
#include "core/io/safetensors.h"
#include "core/random.h"
#include "tests/support/faulty_file_system.h"
#include "tests/support/golden.h"
#include "tests/support/memory_file.h"
#include "tests/support/memory_limit.h"

// Damaged files, several thousand of each kind, always the same ones: each must either be read or
// be refused with an inlay::Error of sensible length. Run under the address sanitizer, a read past
// the end would be seen; elsewhere the address space is limited, so that an allocation that follows
// a file's claims fails the test.
namespace inlay {
namespace {

struct Outcomes {
  i64 read = 0;
  i64 refused = 0;
};

using Parse = std::function<void(const std::string& content)>;

void try_one(const Parse& parse, const std::string& content, Outcomes& outcomes) {
  try {
    parse(content);
    ++outcomes.read;
  } catch (const Error& error) {
    ++outcomes.refused;
    const std::string text = error.what();
    EXPECT_LT(text.size(), 2000U);
    EXPECT_TRUE(std::none_of(text.begin(), text.end(), [](char c) {
      return static_cast<unsigned char>(c) < 0x20;
    })) << text;
  }
}

/// Random damage of every plain kind: bits, bytes, cuts, repeats, and pieces put elsewhere.
void mutate_blindly(const std::string& valid, const Parse& parse, Outcomes& outcomes) {
  for (u64 round = 0; round < 4000; ++round) {
    const RandomKey key = RandomKey(round).with("mutation");
    u64 draw = 0;
    const auto below = [&](u64 bound) { return random_below(key, draw++, bound); };
    std::string content = valid;
    for (u64 i = 0; i <= below(3); ++i) {
      const u64 at = below(content.size() + 1);
      const u64 count = std::min<u64>(1 + below(16), content.size() - at);
      switch (below(6)) {
        case 0:
          content[std::min(at, content.size() - 1)] ^= static_cast<char>(1U << below(8));
          break;
        case 1:
          content[std::min(at, content.size() - 1)] = static_cast<char>(below(256));
          break;
        case 2:
          content.resize(at == 0 ? 1 : at);
          break;
        case 3:
          content.insert(at, content.substr(below(content.size()), 1 + below(64)));
          break;
        case 4:
          content.erase(at, count == content.size() ? 0 : count);
          break;
        default:
          content.replace(at, count, std::string(count, static_cast<char>(below(2) * 255)));
      }
    }
    try_one(parse, content, outcomes);
  }
}

/// The numbers on which size arithmetic breaks.
std::vector<u64> hard_numbers(u64 size) {
  std::vector<u64> numbers = {0, 1, 2, 7, 8, 31, 32, 33, 64, size - 1, size, size + 1};
  for (const int bit : {16, 31, 32, 53, 60, 61, 62, 63}) {
    for (const i64 delta : {-32, -1, 0, 1}) {
      numbers.push_back((u64{1} << bit) + static_cast<u64>(delta));
    }
  }
  for (u64 back = 1; back <= 33; ++back) {
    numbers.push_back(~u64{0} - back + 1);
  }
  return numbers;
}

/// Every hard number over every byte of the first `head` bytes: among those places are all the
/// lengths, counts, types and offsets of a binary header.
void overwrite_numbers(const std::string& valid, i64 head, const Parse& parse, Outcomes& outcomes) {
  const std::vector<u64> numbers = hard_numbers(valid.size());
  for (i64 at = 0; at + 8 <= head; ++at) {
    for (const u64 number : numbers) {
      for (const i64 width : {4, 8}) {
        std::string content = valid;
        std::memcpy(content.data() + at, &number, static_cast<std::size_t>(width));
        try_one(parse, content, outcomes);
      }
    }
  }
}

/// Every number of a JSON text, one after the other, replaced by every hard one; and every piece
/// between punctuation replaced by other JSON.
void replace_json_pieces(const std::string& json, const std::function<void(std::string)>& use) {
  const std::string_view marks = "{}[],:";
  std::vector<std::string> pieces = {"null", "-1",  "1.5",  "\"\"", "[]",
                                     "{}",   "[0]", "true", "1e99"};
  for (const u64 number : hard_numbers(json.size())) {
    pieces.push_back(std::to_string(number));
  }
  std::size_t begin = 0;
  while (begin < json.size()) {
    const std::size_t end = std::min(json.find_first_of(marks, begin), json.size());
    if (end > begin) {
      for (const std::string& piece : pieces) {
        use(json.substr(0, begin) + piece + json.substr(end));
      }
    }
    begin = end + 1;
  }
}

std::string small_safetensors() {
  const std::string header =
      R"({"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},)"
      R"("b":{"dtype":"U8","shape":[],"data_offsets":[24,25]}})";
  std::string content(8, '\0');
  content[0] = static_cast<char>(header.size());
  return content + header + std::string(25, 'd');
}

/// A key of every shape and two tensors, in as few bytes as that takes.
std::string small_gguf() {
  FaultyFileSystem files("/memory");
  const ScopedFileSystem scope(files);
  const std::vector<float> values(16, 1.0F);
  const auto bytes = std::as_bytes(std::span<const float>(values));
  write_gguf("/memory/a",
             {{"n", u32{1}},
              {"s", std::string("x")},
              {"a", GgufArray::of(std::vector<std::string>{"y", ""})},
              {"f", GgufArray::of(std::vector<float>{1.0F})}},
             {{"t", {2, 4}, 0, bytes.first(32)}, {"u", {32}, 2, bytes.first(18)}});
  return files.read("/memory/a", 1 << 20);
}

/// Touches every byte a reader returns.
i64 sum_of(std::span<const std::byte> bytes) {
  i64 sum = 0;
  for (const std::byte byte : bytes) {
    sum += static_cast<i64>(byte);
  }
  return sum;
}

void use_safetensors(const std::string& content) {
  const SafetensorsFile file(memory_file("a.st", content));
  i64 sum = 0;
  for (const TensorEntry& entry : file.entries()) {
    sum += sum_of(entry.data) + (file.find(entry.name) == &entry ? 0 : 1'000'000);
  }
  EXPECT_LT(sum, 1'000'000);
}

void use_gguf(const std::string& content) {
  const GgufFile file(memory_file("a.gguf", content));
  for (const auto& [key, value] : file.metadata()) {
    if (const auto* array = std::get_if<GgufArray>(&value)) {
      static_cast<void>(sum_of(array->bytes));
      if (array->type == GgufValueType::kString) {
        for (const std::string_view text : file.get_strings(key)) {
          static_cast<void>(sum_of(std::as_bytes(std::span(text))));
        }
      }
    }
  }
  i64 sum = 0;
  for (const GgufTensor& tensor : file.tensors()) {
    sum += sum_of(tensor.data) + (file.find_tensor(tensor.name) == &tensor ? 0 : 1'000'000);
  }
  EXPECT_LT(sum, 1'000'000);
}

constexpr i64 kMemory = 64 << 20;  // over two hundred times the size of the files

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
TEST(FileMutation, AnAllocationOverTheLimitWouldFailTheTests) {
  const MemoryLimit limit(kMemory);
  const auto allocate = [](std::size_t bytes) { std::vector<char>(bytes).back() = 'x'; };
  EXPECT_THROW(allocate(2 * kMemory), std::bad_alloc);
}
#endif

TEST(FileMutation, SafetensorsAreReadOrRefused) {
  const std::string small = small_safetensors();
  const std::string reference = file_system().read(golden("io/reference.safetensors"), 1 << 20);
  use_safetensors(small);
  const MemoryLimit limit(kMemory);
  Outcomes outcomes;
  mutate_blindly(small, use_safetensors, outcomes);
  mutate_blindly(reference, use_safetensors, outcomes);
  overwrite_numbers(small, 16, use_safetensors, outcomes);
  const std::string header = small.substr(8, small.size() - 8 - 25);
  replace_json_pieces(header, [&](const std::string& json) {
    std::string content(8, '\0');
    content[0] = static_cast<char>(json.size());
    content[1] = static_cast<char>(json.size() >> 8);
    try_one(use_safetensors, content + json + std::string(25, 'd'), outcomes);
  });
  EXPECT_GT(outcomes.read, 50);
  EXPECT_GT(outcomes.refused, 8000);
}

TEST(FileMutation, GgufIsReadOrRefused) {
  const std::string valid = file_system().read(golden("io/reference.gguf"), 1 << 20);
  use_gguf(valid);
  const MemoryLimit limit(kMemory);
  Outcomes outcomes;
  mutate_blindly(valid, use_gguf, outcomes);
  const std::string small = small_gguf();
  use_gguf(small);
  mutate_blindly(small, use_gguf, outcomes);
  overwrite_numbers(small, static_cast<i64>(small.size()) - 64, use_gguf, outcomes);
  EXPECT_GT(outcomes.read, 1000);
  EXPECT_GT(outcomes.refused, 8000);
}

TEST(FileMutation, JsonIsReadOrRefused) {
  const std::string valid =
      R"({"model": {"type": "BPE", "vocab": {"a": 0, "b": 1}, "merges": [["a", "b"]]},
          "n": -1.5e3, "s": "\u00e9\ud83d\ude00", "t": [true, false, null]})";
  const MemoryLimit limit(kMemory);
  Outcomes outcomes;
  const Parse parse = [](const std::string& text) {
    static_cast<void>(parse_json(text, "a.json", {.comments = true}));
    static_cast<void>(parse_ordered_json(text, "a.json"));
  };
  mutate_blindly(valid, parse, outcomes);
  replace_json_pieces(valid, [&](const std::string& json) { try_one(parse, json, outcomes); });
  EXPECT_GT(outcomes.read, 500);
  EXPECT_GT(outcomes.refused, 2000);
}

}  // namespace
}  // namespace inlay
