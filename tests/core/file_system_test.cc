// SPDX-License-Identifier: Apache-2.0
#include "core/io/file_system.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <thread>

#include "core/error.h"
#include "core/io/atomic.h"
#include "tests/support/error_text.h"
#include "tests/support/temp_directory.h"

namespace inlay {
namespace {

std::string text_of(const MappedFile& file) {
  return {reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()};
}

TEST(Paths, AreJoinedAndSplitByTheirText) {
  EXPECT_EQ(join_path("a", "b"), "a/b");
  EXPECT_EQ(join_path("a/", "b"), "a/b");
  EXPECT_EQ(join_path("", "b"), "b");
  EXPECT_EQ(join_path("a", "/b"), "/b");
  EXPECT_EQ(parent_path("a/b"), "a");
  EXPECT_EQ(parent_path("a/b/"), "a");
  EXPECT_EQ(parent_path("b"), ".");
  EXPECT_EQ(parent_path("/b"), "/");
  EXPECT_EQ(base_name("a/b/"), "b");
  EXPECT_EQ(base_name("b"), "b");
}

TEST(Paths, PlainNamesCannotLeaveTheirDirectory) {
  EXPECT_TRUE(is_plain_name("model-00001-of-00002.safetensors"));
  for (const std::string& name :
       {std::string(), std::string("."), std::string(".."), std::string("a/b"),
        std::string("/etc/passwd"), std::string("a\0b", 3)}) {
    EXPECT_FALSE(is_plain_name(name)) << name;
  }
}

TEST(FileSystem, MapsWhatWasWritten) {
  const TempDirectory temp;
  write_file(temp.file("a"), "hello");
  const auto file = file_system().map(temp.file("a"));
  write_file(temp.file("a"), "another file under the same name");
  EXPECT_EQ(text_of(*file), "hello");
  file->will_read_in_order(file->bytes());
  file->will_need(file->bytes().subspan(1));
  file->no_longer_needed(file->bytes());
  file->no_longer_needed(file->bytes().subspan(5));
  EXPECT_EQ(text_of(*file), "hello");
  EXPECT_EQ(file->path(), temp.file("a"));
}

TEST(FileSystem, MapsAnEmptyFile) {
  const TempDirectory temp;
  write_file(temp.file("empty"), "");
  const auto file = file_system().map(temp.file("empty"));
  EXPECT_TRUE(file->bytes().empty());
  file->will_need(file->bytes());
}

TEST(FileSystem, ReadsUpToALimit) {
  const TempDirectory temp;
  write_file(temp.file("a"), std::string(3'000'000, 'x'));
  EXPECT_EQ(file_system().read(temp.file("a"), 3'000'000), std::string(3'000'000, 'x'));
  EXPECT_EQ(error_text<Error>([&] { file_system().read(temp.file("a"), 2'999'999); }),
            temp.file("a") + ": cannot read: more than 2999999 bytes");
}

TEST(FileSystem, NamesPathActionAndReason) {
  const TempDirectory temp;
  const std::string none = temp.file("none");
  FileSystem& files = file_system();
  write_file(temp.file("file"), "x");
  make_directories(temp.file("full/er"));
  const struct {
    std::function<void()> action;
    std::string error;
  } cases[] = {
      {[&] { files.map(none); }, none + ": cannot open: no such file or directory"},
      {[&] { files.read(none, 1); }, none + ": cannot open: no such file or directory"},
      {[&] { files.map(temp.path()); }, temp.path() + ": cannot read: not a regular file"},
      {[&] { files.read(temp.path(), 1); }, temp.path() + ": cannot read: is a directory"},
      {[&] { files.list(none); }, none + ": cannot list: no such file or directory"},
      {[&] { files.create(none + "/a", 0); },
       none + "/a: cannot create: no such file or directory"},
      {[&] { files.append(temp.file("file"), 2); },
       temp.file("file") + ": cannot append behind byte 2: the file has 1"},
      {[&] { files.remove(none); }, none + ": cannot remove: no such file or directory"},
      {[&] { files.remove(temp.file("full")); },
       temp.file("full") + ": cannot remove: directory not empty"},
      {[&] { files.rename(none, temp.file("b")); },
       temp.file("b") + ": cannot put none in its place: no such file or directory"},
      {[&] { files.exchange(none, temp.file("b")); },
       temp.file("b") + ": cannot put none in its place: no such file or directory"},
      {[&] { files.make_directory(temp.file("file")); },
       temp.file("file") + ": cannot make the directory: file exists"},
      {[&] { make_directories(temp.file("file/below")); },
       temp.file("file") + ": cannot make the directory: file exists"},
      {[&] { files.sync(none); }, none + ": cannot open: no such file or directory"},
      {[&] { files.lock(none); }, none + "/.inlay.lock: cannot create: no such file or directory"},
      {[&] { static_cast<void>(files.info(temp.file(std::string(300, 'n')))); },
       temp.file(std::string(300, 'n')).substr(0, 300) + "...: cannot look up: file name too long"},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(error_text<Error>(c.action), c.error);
  }
}

TEST(FileSystem, KeepsControlCharactersOutOfMessages) {
  EXPECT_EQ(error_text<Error>([] { throw_io_error("a\nb", "open", ENOENT); }),
            "a\\x0ab: cannot open: no such file or directory");
  EXPECT_EQ(error_text<Error>([] { throw_io_error("a", "write", EDQUOT, 7); }),
            "a: cannot write: disk quota exceeded (7 bytes needed)");
}

TEST(FileSystem, TellsFilesDirectoriesAndLinksApart) {
  const TempDirectory temp;
  write_file(temp.file("file"), "abc");
  ASSERT_EQ(::symlink("file", temp.file("link").c_str()), 0);
  ASSERT_EQ(::symlink("nowhere", temp.file("dangling").c_str()), 0);
  const FileInfo file = file_system().info(temp.file("file"));
  EXPECT_TRUE(file.kind == FileKind::kFile && file.size == 3 && !file.link);
  const FileInfo link = file_system().info(temp.file("link"));
  EXPECT_TRUE(link.kind == FileKind::kFile && link.size == 3 && link.link);
  const FileInfo dangling = file_system().info(temp.file("dangling"));
  EXPECT_TRUE(dangling.kind == FileKind::kNone && dangling.link);
  EXPECT_TRUE(file_system().info(temp.file("file/x")).kind == FileKind::kNone);
  EXPECT_TRUE(is_directory(temp.path()) && is_file(temp.file("file")) &&
              !exists(temp.file("none")));
}

TEST(FileSystem, RemovesATreeWithoutFollowingLinks) {
  const TempDirectory temp;
  make_directories(temp.file("kept/inner"));
  write_file(temp.file("kept/inner/file"), "x");
  make_directories(temp.file("gone/a/b"));
  write_file(temp.file("gone/a/file"), "x");
  ASSERT_EQ(::symlink(temp.file("kept").c_str(), temp.file("gone/link").c_str()), 0);
  ASSERT_EQ(::symlink("nowhere", temp.file("gone/dangling").c_str()), 0);
  remove_tree(temp.file("gone"));
  remove_tree(temp.file("gone"));  // nothing there is no error
  EXPECT_FALSE(exists(temp.file("gone")));
  EXPECT_TRUE(is_file(temp.file("kept/inner/file")));
}

TEST(FileSystem, WritesFilesOthersMayRead) {
  const TempDirectory temp;
  const mode_t before = ::umask(027);
  write_file(temp.file("a"), "x");
  ::umask(before);
  struct stat status {};
  ASSERT_EQ(::stat(temp.file("a").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0640U);
}

TEST(FileSystem, NeverCreatesOverAnotherFile) {
  const TempDirectory temp;
  write_file(temp.file("a"), "x");
  EXPECT_EQ(file_system().create(temp.file("a"), 0), nullptr);
}

TEST(FileSystem, ExchangesTwoDirectories) {
  const TempDirectory temp;
  make_directories(temp.file("a/1"));
  make_directories(temp.file("b/2"));
  ASSERT_TRUE(file_system().exchange(temp.file("a"), temp.file("b")));
  EXPECT_TRUE(is_directory(temp.file("b/1")) && is_directory(temp.file("a/2")));
}

TEST(FileSystem, PublishesDirectoriesOnARealDisk) {
  const TempDirectory temp;
  for (const char* version : {"first", "second"}) {
    AtomicDirectory directory(temp.file("runs/last"), {.replace = true});
    write_file(join_path(directory.path(), version), version);
    directory.commit();
    EXPECT_EQ(file_system().list(temp.file("runs")), std::vector<std::string>{"last"});
    EXPECT_EQ(file_system().list(temp.file("runs/last")), std::vector<std::string>{version});
  }
}

// A file-size limit is the one way to a real short write: the system takes the first 1000 bytes,
// then refuses the rest.
TEST(FileSystem, ReportsWhatAShortWriteLeftUndone) {
  const TempDirectory temp;
  struct rlimit before {};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto old_handler = ::signal(SIGXFSZ, SIG_IGN);
  struct rlimit small = before;
  small.rlim_cur = 1000;
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  const std::string error =
      error_text<Error>([&] { write_file(temp.file("a"), std::string(4096, 'x')); });
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  ::signal(SIGXFSZ, old_handler);
  EXPECT_NE(error.find(": cannot write: file too large"), std::string::npos) << error;
  EXPECT_TRUE(file_system().list(temp.path()).empty());
}

void ignore_signal(int /*number*/) {}

TEST(FileSystem, GoesOnAfterInterruptedAndPartialWrites) {
  const TempDirectory temp;
  const std::string pipe = temp.file("pipe");
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  struct sigaction action {};
  struct sigaction before {};
  action.sa_handler = ignore_signal;  // without SA_RESTART: system calls come back with EINTR
  ASSERT_EQ(::sigaction(SIGUSR1, &action, &before), 0);

  std::string sent(4 << 20, '\0');  // many times the pipe's 64 KiB
  for (std::size_t i = 0; i < sent.size(); ++i) {
    sent[i] = static_cast<char>(i * 7 + i / 251);
  }
  std::string received;
  std::thread reader([&] { received = file_system().read(pipe, 1 << 30); });
  std::atomic<bool> done{false};
  const pthread_t writer = ::pthread_self();
  std::thread interrupter([&] {
    while (!done) {
      ::pthread_kill(writer, SIGUSR1);
      std::this_thread::sleep_for(std::chrono::microseconds(100));
    }
  });
  {
    const auto file = file_system().append(pipe, 0);
    file->write(std::as_bytes(std::span(sent)));
  }
  done = true;
  interrupter.join();
  reader.join();
  ::sigaction(SIGUSR1, &before, nullptr);
  EXPECT_TRUE(received == sent);
}

TEST(DirectoryLock, NamesTheHolderAndEndsWithIt) {
  const TempDirectory temp;
  auto lock = file_system().lock(temp.path());
  try {
    file_system().lock(temp.path());
    FAIL() << "nothing thrown";
  } catch (const ConfigError& error) {
    EXPECT_EQ(error.what(), str(temp.path(), ": process ", ::getpid(),
                                " is using this directory; wait for it or choose another one"));
  }
  lock.reset();
  EXPECT_NE(file_system().lock(temp.path()), nullptr);
}

/// Runs `body` in a child process and returns its number; the child ends with body's result.
pid_t spawn(const std::function<int()>& body) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::_exit(body());
  }
  return child;
}

/// A pipe between this process and its children.
struct Pipe {
  Pipe() { EXPECT_EQ(::pipe(ends), 0); }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  ~Pipe() {
    ::close(ends[0]);
    ::close(ends[1]);
  }
  void send(std::string_view bytes) const {
    EXPECT_EQ(::write(ends[1], bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
  }
  void wait() const {
    char byte = 0;
    EXPECT_EQ(::read(ends[0], &byte, 1), 1);
  }
  int ends[2];
};

TEST(DirectoryLock, OfTwoThatStartTogetherOneRunsAndTheOtherNamesIt) {
  for (int round = 0; round < 50; ++round) {
    const TempDirectory temp;
    // A killed process has left its number, beyond those the system gives.
    write_file(temp.file(kLockFileName), round % 2 == 0 ? "" : "4194305\n");
    const Pipe start;
    const Pipe stop;
    const auto contender = [&] {
      start.wait();
      try {
        const auto lock = file_system().lock(temp.path());
        stop.wait();
        return 0;
      } catch (const ConfigError& error) {
        const std::string text = error.what();
        return text.find(": process ") != std::string::npos ? 2 : 3;
      }
    };
    spawn(contender);
    spawn(contender);
    start.send("go");
    int refused = 0;
    ::wait(&refused);  // the other one waits for us
    stop.send("x");
    int done = 0;
    ::wait(&done);
    EXPECT_EQ(WEXITSTATUS(refused), 2);
    EXPECT_EQ(WEXITSTATUS(done), 0);
  }
}

TEST(DirectoryLock, AKilledProcessLeavesNone) {
  const TempDirectory temp;
  const Pipe ready;
  const pid_t child = spawn([&] {
    const auto lock = file_system().lock(temp.path());
    ready.send("x");
    ::pause();
    return 0;
  });
  ready.wait();
  EXPECT_THROW(file_system().lock(temp.path()), ConfigError);
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  EXPECT_NE(file_system().lock(temp.path()), nullptr);
}

}  // namespace
}  // namespace inlay
