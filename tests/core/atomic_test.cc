// SPDX-License-Identifier: Apache-2.0
#include "core/io/atomic.h"

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/io/append_file.h"
#include "tests/support/faulty_file_system.h"

namespace inlay {
namespace {

using Tree = std::map<std::string, std::string>;  // path below the root -> content

constexpr const char* kRoot = "/memory";

void read_tree(const std::string& path, const std::string& prefix, Tree& out) {
  for (const std::string& name : file_system().list(path)) {
    const std::string child = join_path(path, name);
    if (is_directory(child)) {
      out[prefix + name + "/"] = "";
      read_tree(child, prefix + name + "/", out);
    } else {
      out[prefix + name] = file_system().read(child, 1 << 20);
    }
  }
}

Tree tree() {
  Tree out;
  read_tree(kRoot, "", out);
  return out;
}

/// A change from one state of the root to another, that must happen wholly or not at all.
struct Publication {
  std::string name;
  std::function<void()> prepare;  // makes the old state
  std::function<void()> publish;
  bool can_exchange = true;
};

void fill_directory(const std::string& path, const std::string& version) {
  AtomicDirectory directory(path, {.replace = true});
  write_file(join_path(directory.path(), "weights"), version + std::string(1000, 'w'));
  make_directories(join_path(directory.path(), "state"));
  write_file(join_path(directory.path(), "state/optimizer"), version);
  {
    // Not synced by its writer: the commit must do it.
    const auto file = file_system().create(join_path(directory.path(), "manifest"), 0);
    file->write(std::as_bytes(std::span(version)));
    file->close();
  }
  directory.commit();
}

std::vector<Publication> publications() {
  const std::string file = "/memory/config.json";
  const std::string directory = "/memory/last";
  const auto nothing = [] {};
  const auto write_new = [=] {
    AtomicFile out(file);
    out.write("new");
    out.write(std::string(300 << 10, 'n'));  // past the buffer
    out.write("end");
    out.commit();
  };
  return {
      {"a new file", nothing, write_new},
      {"a file over another", [=] { write_file(file, "old"); }, write_new},
      {"a new directory", nothing, [=] { fill_directory(directory, "new"); }},
      {"a directory over another", [=] { fill_directory(directory, "old"); },
       [=] { fill_directory(directory, "new"); }},
      {"a directory over another, without exchange", [=] { fill_directory(directory, "old"); },
       [=] { fill_directory(directory, "new"); }, false},
      {"a directory removed", [=] { fill_directory(directory, "old"); },
       [=] { remove_whole(directory); }},
      {"a file removed", [=] { write_file(file, "old"); }, [=] { remove_whole(file); }},
  };
}

/// Puts a file system in the old state, runs `test` on it.
void with_old_state(const Publication& publication,
                    const std::function<void(FaultyFileSystem&)>& test) {
  FaultyFileSystem files(kRoot);
  files.set_can_exchange(publication.can_exchange);
  const ScopedFileSystem scope(files);
  publication.prepare();
  files.sync(kRoot);
  files.fail_never();
  test(files);
}

struct States {
  Tree old_state, new_state;
  i64 operations = 0;
};

States states_of(const Publication& publication) {
  States states;
  with_old_state(publication, [&](FaultyFileSystem& files) {
    states.old_state = tree();
    files.fail_never();
    publication.publish();
    states.operations = files.operations();
    states.new_state = tree();
  });
  return states;
}

TEST(Atomic, FailingAnyOperationLeavesOldOrNewAndNoTemporaryFile) {
  for (const Publication& publication : publications()) {
    const States states = states_of(publication);
    ASSERT_GT(states.operations, 4);
    for (const Fault fault :
         {Fault::kNoSpace, Fault::kQuota, Fault::kIoError, Fault::kShortWrite}) {
      for (i64 n = 0; n < states.operations; ++n) {
        SCOPED_TRACE(str(publication.name, ": operation ", n, " of ", states.operations));
        with_old_state(publication, [&](FaultyFileSystem& files) {
          files.fail_at(n, fault);
          std::string error;
          try {
            publication.publish();
          } catch (const IoError& e) {
            error = e.what();
          }
          files.fail_never();
          EXPECT_TRUE(error.empty() || error.find("/memory") != std::string::npos) << error;
          const Tree before = tree();
          remove_leftovers(kRoot);
          const Tree after = tree();
          EXPECT_TRUE(after == states.old_state || after == states.new_state);
          EXPECT_TRUE(!error.empty() || after == states.new_state);
          // Nothing is left over, save a replaced directory that could not be removed.
          EXPECT_TRUE(before == after || after == states.new_state);
        });
      }
    }
  }
}

TEST(Atomic, AFullDiskForEverLeavesOldOrNew) {
  for (const Publication& publication : publications()) {
    const States states = states_of(publication);
    for (i64 n = 0; n < states.operations; ++n) {
      SCOPED_TRACE(str(publication.name, ": from operation ", n, " of ", states.operations));
      with_old_state(publication, [&](FaultyFileSystem& files) {
        files.fail_at(n, Fault::kNoSpace, /*forever=*/true);
        EXPECT_THROW(publication.publish(), IoError);
        files.fail_never();
        remove_leftovers(kRoot);
        const Tree after = tree();
        EXPECT_TRUE(after == states.old_state || after == states.new_state);
      });
    }
  }
}

TEST(Atomic, APowerCutAtAnyOperationLeavesOldOrNew) {
  for (const Publication& publication : publications()) {
    const States states = states_of(publication);
    bool saw_old = false;
    bool saw_new = false;
    for (i64 n = 0; n < states.operations; ++n) {
      for (const UnsyncedBytes bytes :
           {UnsyncedBytes::kKept, UnsyncedBytes::kLost, UnsyncedBytes::kTorn}) {
        for (i64 kept = 0, unsynced = 1; kept <= unsynced; ++kept) {
          SCOPED_TRACE(str(publication.name, ": operation ", n, " of ", states.operations,
                           ", names kept ", kept));
          with_old_state(publication, [&](FaultyFileSystem& files) {
            files.fail_at(n, Fault::kCrash);
            EXPECT_THROW(publication.publish(), SimulatedCrash);
            unsynced = files.unsynced_names();
            files.restart(kept, bytes);
            remove_leftovers(kRoot);
            const Tree after = tree();
            EXPECT_TRUE(after == states.old_state || after == states.new_state);
            saw_old = saw_old || after == states.old_state;
            saw_new = saw_new || after == states.new_state;
          });
        }
      }
    }
    EXPECT_TRUE(saw_old && saw_new) << publication.name;
  }
}

TEST(Atomic, WhatWasCommittedSurvivesAPowerCut) {
  for (const Publication& publication : publications()) {
    const States states = states_of(publication);
    with_old_state(publication, [&](FaultyFileSystem& files) {
      publication.publish();
      files.restart(0, UnsyncedBytes::kLost);
      remove_leftovers(kRoot);
      EXPECT_TRUE(tree() == states.new_state) << publication.name;
    });
  }
}

// The two classic mistakes, to show that the tests above would find them.
TEST(Atomic, ARenameWithoutSyncingFileAndDirectoryWouldLoseTheOldFile) {
  for (const bool sync_file : {false, true}) {
    FaultyFileSystem files(kRoot);
    const ScopedFileSystem scope(files);
    write_file("/memory/a", "old");
    const auto file = files.create("/memory/b", 0);
    file->write(std::as_bytes(std::span(std::string_view("new"))));
    if (sync_file) {
      file->sync();
    }
    files.rename("/memory/b", "/memory/a");
    const i64 names = sync_file ? 0 : files.unsynced_names();
    files.restart(names, UnsyncedBytes::kLost);
    EXPECT_EQ(tree(), (Tree{{"a", sync_file ? "old" : ""}}));
  }
}

TEST(Atomic, AFullDiskIsNamedWithPathAndBytesNeeded) {
  FaultyFileSystem files(kRoot);
  const ScopedFileSystem scope(files);
  files.fail_at(2, Fault::kShortWrite);  // after looking for leftovers and creating the file
  try {
    write_file("/memory/a.bin", std::string(5000, 'x'));
    FAIL() << "nothing thrown";
  } catch (const IoError& error) {
    const std::string text = error.what();
    EXPECT_EQ(text.substr(0, 25), "/memory/.a.bin.inlay-tmp-");
    EXPECT_NE(text.find(": cannot write: no space left on device (5000 bytes needed)"),
              std::string::npos)
        << text;
  }
}

TEST(Atomic, ADirectoryInTheWayIsRefusedUnlessItMayBeReplaced) {
  FaultyFileSystem files(kRoot);
  const ScopedFileSystem scope(files);
  fill_directory("/memory/last", "old");
  try {
    const AtomicDirectory directory("/memory/last");
    FAIL() << "nothing thrown";
  } catch (const IoError& error) {
    EXPECT_STREQ(error.what(), "/memory/last: already exists");
  }
  write_file("/memory/file", "x");
  EXPECT_THROW(AtomicDirectory("/memory/file", {.replace = true}), IoError);
  // One filled after the check: the rename itself refuses.
  AtomicDirectory late("/memory/late");
  make_directories("/memory/late");
  write_file("/memory/late/x", "x");
  EXPECT_THROW(late.commit(), IoError);
  EXPECT_EQ(files.read("/memory/late/x", 10), "x");
}

TEST(Atomic, AnEmptyDirectoryMayBeFilled) {
  FaultyFileSystem files(kRoot);
  const ScopedFileSystem scope(files);
  make_directories("/memory/a/b");
  AtomicDirectory directory("/memory/a/b");
  write_file(join_path(directory.path(), "x"), "x");
  directory.commit();
  EXPECT_EQ(tree(), (Tree{{"a/", ""}, {"a/b/", ""}, {"a/b/x", "x"}}));
}

TEST(Atomic, WritersOfOneNameDoNotMeet) {
  FaultyFileSystem files(kRoot);
  const ScopedFileSystem scope(files);
  AtomicFile first("/memory/x");
  AtomicFile second("/memory/x");
  first.write("first");
  second.write("second");
  second.commit();
  first.commit();
  EXPECT_EQ(tree(), (Tree{{"x", "first"}}));
}

TEST(Atomic, LeftoversAreToldFromOtherHiddenFiles) {
  FaultyFileSystem files(kRoot);
  const ScopedFileSystem scope(files);
  for (const char* name : {".hidden", "a.inlay-tmp-1-2", ".inlay-tmp-1-2", ".a.inlay-tmp-1-2"}) {
    write_file(join_path(kRoot, name), "x");
  }
  fill_directory("/memory/.run.inlay-old-1-2", "run");
  fill_directory("/memory/.last.inlay-old-1-2", "old");
  fill_directory("/memory/last", "new");
  remove_leftovers(kRoot);
  Tree names;
  for (const std::string& name : files.list(kRoot)) {
    names[name];
  }
  EXPECT_EQ(names, (Tree{{".hidden", ""},
                         {".inlay-tmp-1-2", ""},
                         {"a.inlay-tmp-1-2", ""},
                         {"last", ""},
                         {"run", ""}}));
}

TEST(Atomic, WhatIsNotThereIsRemovedWithoutAWord) {
  FaultyFileSystem files(kRoot);
  const ScopedFileSystem scope(files);
  remove_whole("/memory/nothing");
  EXPECT_EQ(tree(), Tree());
}

// ---- AppendFile

TEST(AppendFile, KnowsWhenItsLinesNoLongerStandInTheFile) {
  FaultyFileSystem files(kRoot);
  const ScopedFileSystem scope(files);
  AppendFile log("/memory/log");
  EXPECT_TRUE(log.in_place());
  log.write_line("one");
  log.flush();
  EXPECT_TRUE(log.in_place());
  files.fail_at(0, Fault::kShortWrite);
  log.write_line("two");
  EXPECT_THROW(log.flush(), IoError);
  files.fail_never();
  EXPECT_TRUE(log.in_place());  // "one", half of "two", and "two" is kept
  log.flush();
  EXPECT_TRUE(log.in_place());
  files.rename("/memory/log", "/memory/log.1");
  EXPECT_FALSE(log.in_place());
  write_file("/memory/log", "short\n");
  EXPECT_FALSE(log.in_place());
  remove_tree("/memory/log");
  make_directories("/memory/log");
  EXPECT_FALSE(log.in_place());
}

TEST(AppendFile, GoesOnBehindTheLastWholeLine) {
  FaultyFileSystem files(kRoot);
  const ScopedFileSystem scope(files);
  for (const auto& [before, after] : Tree{{"", "new\n"},
                                          {"torn", "new\n"},
                                          {"one\n", "one\nnew\n"},
                                          {"one\ntwo\ntorn", "one\ntwo\nnew\n"}}) {
    write_file("/memory/log", before);
    AppendFile log("/memory/log");
    log.write_line("new");
    log.flush();
    EXPECT_EQ(files.read("/memory/log", 100), after);
  }
}

TEST(AppendFile, TriesAgainWhatAFullDiskCutShort) {
  FaultyFileSystem files(kRoot);
  const ScopedFileSystem scope(files);
  AppendFile log("/memory/log");
  log.write_line("one");
  log.flush();
  log.write_line("two");
  files.fail_at(0, Fault::kShortWrite);
  try {
    log.flush();
    FAIL() << "nothing thrown";
  } catch (const IoError& error) {
    EXPECT_STREQ(error.what(),
                 "/memory/log: cannot write: no space left on device (8 bytes needed)");
  }
  EXPECT_EQ(files.read("/memory/log", 100), "one\ntw");
  log.write_line("three");
  files.fail_at(0, Fault::kIoError);  // opening it again
  EXPECT_THROW(log.flush(), IoError);
  log.flush();
  EXPECT_EQ(files.read("/memory/log", 100), "one\ntwo\nthree\n");
}

TEST(AppendFile, SyncedLinesSurviveAPowerCut) {
  FaultyFileSystem files(kRoot);
  const ScopedFileSystem scope(files);
  {
    AppendFile log("/memory/log");
    log.write_line("one");
    log.sync();
    log.write_line("two");
    log.flush();
  }
  files.restart(0, UnsyncedBytes::kTorn);
  AppendFile log("/memory/log");
  EXPECT_EQ(files.read("/memory/log", 100), "one\n");
}

}  // namespace
}  // namespace inlay
