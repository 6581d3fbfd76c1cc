// SPDX-License-Identifier: Apache-2.0

// What writers that were killed have left behind, on a real disk: the next writer of the same name
// removes it, and nothing else.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <memory>

#include "core/error.h"
#include "core/io/atomic.h"
#include "core/io/temporary_path.h"
#include "tests/support/error_text.h"
#include "tests/support/temp_directory.h"

namespace inlay {
namespace {

namespace fs = std::filesystem;

/// The number of a process that is gone.
int gone_process() {
  const pid_t child = ::fork();
  if (child == 0) {
    ::_exit(0);
  }
  ::waitpid(child, nullptr, 0);
  return child;
}

void make_folder(const std::string& path) {
  make_directories(path + "/inner");
  write_file(path + "/weights", "x");
  write_file(path + "/inner/more", "x");
}

TEST(Leftovers, OfThisNameGoAndOthersStay) {
  const int gone = gone_process();
  const struct {
    std::string name;
    bool stays;
  } cases[] = {
      {str(".out.inlay-tmp-", gone, "-0"), false},
      {str(".out.inlay-tmp-", gone, "-17"), false},
      // In a container every run may have the number of this one.
      {str(".out.inlay-tmp-", ::getpid(), "-99999"), false},
      {str(".out.inlay-tmp-", ::getppid(), "-0"), true},
      {str(".other.inlay-tmp-", gone, "-0"), true},
      {str(".out.more.inlay-tmp-", gone, "-0"), true},
      {str("out.inlay-tmp-", gone, "-0"), true},
      {".out.inlay-tmp-", true},
      {".out.inlay-tmp-abc", true},
      {".out", true},
  };
  for (const bool folder : {false, true}) {
    for (const bool leftover_is_folder : {false, true}) {
      for (const auto& c : cases) {
        SCOPED_TRACE(str(c.name, folder, leftover_is_folder));
        const TempDirectory temp;
        if (leftover_is_folder) {
          make_folder(temp.file(c.name));
        } else {
          write_file(temp.file(c.name), "x");
        }
        if (folder) {
          AtomicDirectory out(temp.file("out"));
          write_file(out.path() + "/weights", "y");
          out.commit();
        } else {
          write_file(temp.file("out"), "y");
        }
        EXPECT_EQ(exists(temp.file(c.name)), c.stays);
        EXPECT_TRUE(exists(temp.file("out")));
      }
    }
  }
}

TEST(Leftovers, AReplacedFolderIsPutBackWhereItsPlaceIsEmpty) {
  const TempDirectory temp;
  const std::string old = temp.file(str(".out.inlay-old-", gone_process(), "-0"));
  make_folder(old);
  EXPECT_EQ(error_text<IoError>([&] { const AtomicDirectory out(temp.file("out")); }),
            temp.file("out") + ": already exists");
  EXPECT_TRUE(exists(temp.file("out/weights")));
  make_folder(old);
  const AtomicDirectory out(temp.file("out"), {.replace = true});
  EXPECT_FALSE(exists(old));
}

/// A child that has begun to write `path` and waits, in the state that `signal` finds it in.
pid_t writer_of(const std::string& path, bool folder) {
  int ready[2];
  EXPECT_EQ(::pipe(ready), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    std::unique_ptr<AtomicDirectory> directory;
    std::unique_ptr<AtomicFile> file;
    if (folder) {
      directory = std::make_unique<AtomicDirectory>(path);
      make_folder(directory->path());
    } else {
      file = std::make_unique<AtomicFile>(path);
    }
    ::close(ready[1]);
    while (true) {
      ::pause();
    }
  }
  ::close(ready[1]);
  char none = 0;
  EXPECT_EQ(::read(ready[0], &none, 1), 0);  // until the child has closed its end
  ::close(ready[0]);
  return child;
}

std::size_t names_in(const std::string& folder) {
  return file_system().list(folder).size();
}

TEST(Leftovers, OfALivingWriterStayUntilItIsKilled) {
  for (const bool folder : {false, true}) {
    const TempDirectory temp;
    const pid_t writer = writer_of(temp.file("out"), folder);
    write_file(temp.file("out"), "mine");
    EXPECT_EQ(names_in(temp.path()), 2U);
    ::kill(writer, SIGKILL);
    ::waitpid(writer, nullptr, 0);
    EXPECT_EQ(names_in(temp.path()), 2U);
    write_file(temp.file("out"), "mine");
    EXPECT_EQ(names_in(temp.path()), 1U);
  }
}

// A process number tells nothing of a writer in another container, its lock does.
TEST(Leftovers, OfAWriterThatHoldsItsLockStay) {
  const TempDirectory temp;
  const int gone = gone_process();
  make_folder(temp.file(str(".out.inlay-tmp-", gone, "-0")));
  write_file(temp.file(str(".out.inlay-tmp-", gone, "-1")), "x");
  int held[2];
  for (int i = 0; i < 2; ++i) {
    held[i] = ::open(temp.file(str(".out.inlay-tmp-", gone, "-", i)).c_str(), O_RDONLY);
    ASSERT_EQ(::flock(held[i], LOCK_EX), 0);
  }
  write_file(temp.file("out"), "mine");
  EXPECT_EQ(names_in(temp.path()), 3U);
  ::close(held[0]);
  ::close(held[1]);
  write_file(temp.file("out"), "mine");
  EXPECT_EQ(names_in(temp.path()), 1U);
}

TEST(Leftovers, TwoWritersOfOneProcessLeaveEachOtherAlone) {
  const TempDirectory temp;
  AtomicFile first(temp.file("out"));
  first.write("first");
  write_file(temp.file("out"), "second");
  first.commit();
  EXPECT_EQ(file_system().read(temp.file("out"), 10), "first");
}

TEST(Temporaries, AreRemovedByASignalHandlersCall) {
  const TempDirectory temp;
  const pid_t child = ::fork();
  if (child == 0) {
    AtomicFile file(temp.file("file"));
    AtomicDirectory directory(temp.file("directory"));
    make_folder(directory.path() + "/a");
    for (int i = 0; i < 300; ++i) {  // more than one reading of the names
      write_file(directory.path() + str("/a/a-longer-name-for-a-file-", i), "x");
    }
    const AtomicFile inner(directory.path() + "/b");
    write_file(temp.file("published"), "x");
    remove_temporaries();
    ::_exit(0);
  }
  ::waitpid(child, nullptr, 0);
  EXPECT_EQ(file_system().list(temp.path()), std::vector<std::string>{"published"});
}

TEST(Temporaries, ArePathsOnlyAsLongAsTheyAreWritten) {
  const TempDirectory temp;
  std::string name;
  {
    const AtomicDirectory directory(temp.file("a"));
    name = directory.path();
    EXPECT_TRUE(is_temporary_here(name));
  }
  EXPECT_FALSE(is_temporary_here(name));
  std::vector<std::unique_ptr<AtomicFile>> many;  // more than are kept track of
  for (int i = 0; i < 100; ++i) {
    many.push_back(std::make_unique<AtomicFile>(temp.file(str("b", i))));
  }
  for (const auto& file : many) {
    file->commit();
  }
  EXPECT_EQ(names_in(temp.path()), 100U);
  EXPECT_TRUE(is_temporary_here(AtomicDirectory(temp.file("c")).path()));
}

}  // namespace
}  // namespace inlay
