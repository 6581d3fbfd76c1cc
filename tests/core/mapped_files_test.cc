// SPDX-License-Identifier: Apache-2.0
#include "core/io/mapped_files.h"

#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <thread>

#include "core/error.h"
#include "core/io/atomic.h"
#include "core/io/file_system.h"
#include "tests/support/error_text.h"
#include "tests/support/memory_limit.h"
#include "tests/support/temp_directory.h"

namespace inlay {
namespace {

namespace fs = std::filesystem;

/// Puts other bytes where the file has its first ones, as `cp` over it does.
void overwrite(const std::string& path, const std::string& bytes) {
  std::fstream(path, std::ios::in | std::ios::out | std::ios::binary) << bytes;
}

/// Longer than a tick of the clock that files get their times from.
void wait_a_tick() {
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
}

TEST(MappedFiles, TellWhatHasHappenedToThem) {
  const struct {
    const char* name;
    std::function<void(const std::string& path)> change;
    std::string told;  // empty: no change
  } cases[] = {
      {"nothing", [](const std::string&) {}, ""},
      {"read", [](const std::string& path) { file_system().read(path, 100); }, ""},
      {"cut", [](const std::string& path) { fs::resize_file(path, 4); },
       "was cut from 10 to 4 bytes"},
      {"emptied", [](const std::string& path) { fs::resize_file(path, 0); },
       "was cut from 10 to 0 bytes"},
      {"grown", [](const std::string& path) { fs::resize_file(path, 12); },
       "grew from 10 to 12 bytes"},
      {"written in place", [](const std::string& path) { overwrite(path, "xy"); },
       "was written to"},
      {"written in place, its time set back",
       [](const std::string& path) {
         const auto time = fs::last_write_time(path);
         overwrite(path, "xy");
         fs::last_write_time(path, time);
       },
       "was written to"},
      {"cut and filled again", [](const std::string& path) { std::ofstream(path) << "ABCDEFGHIJ"; },
       "was written to"},
      {"another renamed over it", [](const std::string& path) { write_file(path, "ABCDEFGHIJ"); },
       "was replaced by another file"},
      {"another of the same time renamed over it",
       [](const std::string& path) {
         write_file(path + ".new", "ABCDEFGHIJ");
         fs::last_write_time(path + ".new", fs::last_write_time(path));
         fs::permissions(path + ".new", fs::perms::owner_read);
         fs::rename(path + ".new", path);
       },
       "was replaced by another file"},
      {"removed", [](const std::string& path) { fs::remove(path); }, ""},
      {"linked", [](const std::string& path) { fs::create_hard_link(path, path + ".link"); }, ""},
      {"made read-only",
       [](const std::string& path) { fs::permissions(path, fs::perms::owner_read); }, ""},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.name);
    const TempDirectory temp;
    const std::string path = temp.file("weights");
    write_file(path, "0123456789");
    wait_a_tick();
    const auto file = file_system().map(path);
    c.change(path);
    if (c.told.empty()) {
      EXPECT_NO_THROW(require_mapped_files_unchanged());
    } else {
      EXPECT_EQ(error_text<IoError>(require_mapped_files_unchanged),
                path + ": " + c.told + " while it was in use, so the result cannot be relied on");
    }
  }
}

TEST(MappedFiles, AreForgottenWithTheirMapping) {
  const TempDirectory temp;
  write_file(temp.file("a"), "aaaa");
  auto file = file_system().map(temp.file("a"));
  const void* address = file->bytes().data();
  EXPECT_EQ(std::string(mapped_path_at(address)), temp.file("a"));
  EXPECT_EQ(mapped_path_at(static_cast<const std::byte*>(address) + 4), nullptr);
  EXPECT_EQ(mapped_path_at(&address), nullptr);
  fs::resize_file(temp.file("a"), 0);
  EXPECT_THROW(require_mapped_files_unchanged(), IoError);
  file.reset();
  EXPECT_EQ(mapped_path_at(address), nullptr);
  EXPECT_NO_THROW(require_mapped_files_unchanged());
}

TEST(MappedFiles, OfManyTheChangedOneIsNamed) {
  const TempDirectory temp;
  std::vector<std::shared_ptr<const MappedFile>> files;
  for (int i = 0; i < 20; ++i) {
    write_file(temp.file(str("a\n", i)), "aaaa");
    files.push_back(file_system().map(temp.file(str("a\n", i))));
    if (i % 3 == 0) {
      files.front().reset();
      files.erase(files.begin());
    }
  }
  fs::resize_file(temp.file("a\n15"), 0);
  EXPECT_EQ(error_text<IoError>(require_mapped_files_unchanged),
            temp.file("a\\x0a15") +
                ": was cut from 4 to 0 bytes while it was in use, so the result cannot be relied "
                "on");
}

// What a signal tells a program that reads, an errno tells the system when it reads for it.
TEST(MappedFiles, WritingFromOneThatWasCutNamesIt) {
  const TempDirectory temp;
  write_file(temp.file("from"), std::string(1 << 20, 'x'));
  const auto file = file_system().map(temp.file("from"));
  fs::resize_file(temp.file("from"), 0);
  EXPECT_EQ(error_text<IoError>([&] { write_file(temp.file("to"), file->bytes()); }),
            temp.file("from") + kUnreadablePage);
  EXPECT_FALSE(exists(temp.file("to")));
}

TEST(MappedFiles, TooLittleAddressSpaceIsTooLittleMemory) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "the sanitizers need more addresses than a limit leaves";
#endif
  const TempDirectory temp;
  std::ofstream(temp.file("large")).close();
  fs::resize_file(temp.file("large"), 300'000'000);
  const MemoryLimit limit(100'000'000);
  EXPECT_EQ(
      error_text<MemoryError>([&] { static_cast<void>(file_system().map(temp.file("large"))); }),
      temp.file("large") + ": cannot map: out of memory: 300000000 bytes needed (see ulimit -v)");
}

}  // namespace
}  // namespace inlay
