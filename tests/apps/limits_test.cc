// SPDX-License-Identifier: Apache-2.0

// The command where the system gives it less than usual: addresses, stacks, threads, open files,
// sizes of files. What fits runs and comes to the same bits; what does not is refused in a
// sentence.

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <functional>

#include "tests/apps/workshop.h"

namespace inlay {
namespace {

namespace fs = std::filesystem;

constexpr rlim_t kKilobyte = 1 << 10;
constexpr rlim_t kMegabyte = 1 << 20;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;  // with terabytes of addresses of the sanitizer's own
#else
constexpr bool kSanitized = false;
#endif

void set_limit(decltype(RLIMIT_AS) resource, rlim_t value) {
  const struct rlimit limit = {value, value};
  ::setrlimit(resource, &limit);
}

/// So many open files, the three streams among them and nothing that this process left open.
void allow_files(rlim_t count) {
  constexpr int kMaxDescriptors = 64;
  for (int descriptor = 3; descriptor < kMaxDescriptors; ++descriptor) {
    ::close(descriptor);
  }
  set_limit(RLIMIT_NOFILE, count);
}

bool has_temporaries(const Workshop& workshop) {
  for (const auto& entry : fs::recursive_directory_iterator(workshop.path(""))) {
    if (entry.path().filename().string().find(".inlay-") != std::string::npos) {
      return true;
    }
  }
  return false;
}

/// One sentence, the last line of what a command said, with no trace of a fault of its own.
void expect_sentence(const Finished& finished, int exit_code, const std::string& part) {
  EXPECT_EQ(finished.exit_code, exit_code) << finished.err;
  const std::size_t at = finished.err.rfind("inlay: ");
  ASSERT_NE(at, std::string::npos) << finished.err;
  EXPECT_NE(finished.err.find(part, at), std::string::npos) << finished.err;
  EXPECT_EQ(finished.err.find("internal error"), std::string::npos) << finished.err;
}

struct Limit {
  std::string name;
  std::function<void()> set;
};

std::vector<Limit> limits_that_suffice() {
  std::vector<Limit> limits;
  for (const rlim_t megabytes : {100, 150, 300, 700, 1500, 3200, 4200, 4600, 5000, 6000, 8300, 9000,
                                 10'000, 17'200, 20'000, 34'200, 40'000, 68'000, 70'000}) {
    limits.push_back({"ulimit -v of " + std::to_string(megabytes) + " MB",
                      [=] { set_limit(RLIMIT_AS, megabytes * kMegabyte); }});
  }
  for (const rlim_t kilobytes : {64, 128, 512, 3000}) {
    limits.push_back({"ulimit -s of " + std::to_string(kilobytes) + " kB",
                      [=] { set_limit(RLIMIT_STACK, kilobytes * kKilobyte); }});
  }
  for (const char* size : {"1", "16K", "100B", "64k", "2M", "nonsense"}) {
    limits.push_back(
        {std::string("OMP_STACKSIZE=") + size, [=] { ::setenv("OMP_STACKSIZE", size, 1); }});
  }
  limits.push_back({"ulimit -d of 100 MB", [] { set_limit(RLIMIT_DATA, 100 * kMegabyte); }});
  limits.push_back({"ulimit -n of 8", [] { allow_files(8); }});
  limits.push_back({"ulimit -f of 1 MB", [] { set_limit(RLIMIT_FSIZE, kMegabyte); }});
  limits.push_back({"small stack and few addresses", [] {
                      set_limit(RLIMIT_STACK, 64 * kKilobyte);
                      set_limit(RLIMIT_AS, 150 * kMegabyte);
                    }});
  return limits;
}

TEST(Limits, ThatSufficeChangeNothing) {
  if (kSanitized) {
    GTEST_SKIP() << "the sanitizer needs more than these limits leave";
  }
  const Workshop workshop;
  const std::string four_threads = "train run.json --overwrite --set runtime.threads=4";
  ASSERT_EQ(workshop.run(four_threads).exit_code, 0);
  const std::string expected = workshop.read("out/adapter/adapter_model.safetensors");
  for (const Limit& limit : limits_that_suffice()) {
    SCOPED_TRACE(limit.name);
    fs::remove_all(workshop.path("out"));
    const Finished finished = run_inlay(workshop.path(""), words(four_threads), "", limit.set);
    ASSERT_EQ(finished.exit_code, 0) << finished.err;
    EXPECT_EQ(workshop.read("out/adapter/adapter_model.safetensors"), expected);
  }
}

TEST(Limits, OnThreadsLeaveFewerWhichIsSaid) {
  const Workshop workshop;
  ASSERT_EQ(workshop.run("train run.json").exit_code, 0);
  const std::string expected = workshop.read("out/adapter/adapter_model.safetensors");
  fs::remove_all(workshop.path("out"));
  fs::permissions(workshop.path(""), fs::perms::all);
  const auto one_process = [] {
    // For the administrator there is no such limit.
    if (::geteuid() == 0 && ::setuid(65'534) != 0) {
      ::_exit(126);
    }
    set_limit(RLIMIT_NPROC, 1);
  };
  const Finished finished = run_inlay(
      workshop.path(""), words("train run.json --set runtime.threads=4"), "", one_process);
  if (finished.exit_code == 127 || finished.exit_code == 126) {
    GTEST_SKIP() << "the command cannot be started by another user";
  }
  ASSERT_EQ(finished.exit_code, 0) << finished.err;
  EXPECT_NE(finished.err.find("the system starts no more than "), std::string::npos)
      << finished.err;
  EXPECT_EQ(workshop.read("out/adapter/adapter_model.safetensors"), expected);
}

TEST(Limits, ThatDoNotSufficeEndInASentence) {
  if (kSanitized) {
    GTEST_SKIP() << "the sanitizer needs more than these limits leave";
  }
  const std::string train = "train run.json";
  const std::string merge = "merge -m model -a adapter -o merged";
  const struct {
    const char* name;
    std::function<void()> set;
    std::string arguments;
    int exit_code;
    std::string sentence;
  } cases[] = {
      {"few addresses", [] { set_limit(RLIMIT_AS, 18 * kMegabyte); }, train, 3, "out of memory"},
      {"little data", [] { set_limit(RLIMIT_DATA, 4 * kMegabyte); }, train, 3, "out of memory"},
      {"little data", [] { set_limit(RLIMIT_DATA, 4 * kMegabyte); }, merge, 3, "out of memory"},
      {"few files", [] { allow_files(5); }, train, 4, "too many open files"},
      {"few files", [] { allow_files(6); }, train, 4, "too many open files"},
      {"few files", [] { allow_files(4); }, merge, 4, "too many open files"},
      {"small files", [] { set_limit(RLIMIT_FSIZE, kKilobyte); }, train, 4, "file too large ("},
      {"small files", [] { set_limit(RLIMIT_FSIZE, 2 * kKilobyte); }, train, 4, "file too large ("},
      {"small files", [] { set_limit(RLIMIT_FSIZE, 9 * kKilobyte); }, merge, 4, "file too large ("},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.name + (": " + c.arguments));
    const Workshop workshop;
    expect_sentence(run_inlay(workshop.path(""), words(c.arguments), "", c.set), c.exit_code,
                    c.sentence);
    EXPECT_FALSE(has_temporaries(workshop));
    EXPECT_FALSE(fs::exists(workshop.path("merged")));
  }
}

TEST(Limits, TooFewAddressesForAModelFileAreTooLittleMemory) {
  if (kSanitized) {
    GTEST_SKIP() << "the sanitizer needs more than these limits leave";
  }
  const Workshop workshop;
  workshop.write("large.safetensors", "");
  fs::resize_file(workshop.path("large.safetensors"), 300'000'000);
  fs::copy_file(workshop.path("large.safetensors"), workshop.path("large.gguf"));
  fs::create_directory(workshop.path("folder"));
  fs::copy_file(workshop.path("model/config.json"), workshop.path("folder/config.json"));
  fs::copy_file(workshop.path("large.safetensors"), workshop.path("folder/model.safetensors"));
  for (const char* arguments :
       {"inspect large.safetensors", "inspect large.gguf", "inspect folder",
        "tokenize --tokenizer large.gguf text", "generate -m folder --tokenizer bytes -p text",
        "train run.json --set model.model_name_or_path=folder"}) {
    SCOPED_TRACE(arguments);
    expect_sentence(run_inlay(workshop.path(""), words(arguments), "",
                              [] { set_limit(RLIMIT_AS, 200 * kMegabyte); }),
                    3, ": cannot map: out of memory: 300000000 bytes needed (see ulimit -v)\n");
  }
}

// A checkpoint that no longer fits leaves the one before it as it is.
TEST(Limits, ASmallFileLimitCostsOnlyTheNewCheckpoint) {
  const Workshop workshop;
  workshop.write("run.json", run_json({{"/training/max_steps", 4}, {"/save/save_steps", 2}}));
  ASSERT_EQ(workshop.run("train run.json").exit_code, 0);
  workshop.write("out/checkpoints/last", "step-2\n");
  fs::remove_all(workshop.path("out/checkpoints/step-4"));
  const Finished stopped = run_inlay(workshop.path(""), words("train run.json --resume"), "",
                                     [] { set_limit(RLIMIT_FSIZE, 3 * kKilobyte); });
  expect_sentence(stopped, 4, "file too large");
  EXPECT_FALSE(has_temporaries(workshop));
  EXPECT_EQ(workshop.read("out/checkpoints/last"), "step-2\n");
  EXPECT_EQ(workshop.run("train run.json --resume").exit_code, 0);
}

}  // namespace
}  // namespace inlay
