// SPDX-License-Identifier: Apache-2.0
#include "finetune/model_cache.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/io/atomic.h"
#include "core/io/file_system.h"
#include "tests/support/error_text.h"
#include "tests/support/temp_directory.h"

namespace inlay {
namespace {

// The variables that say where the cache is, as a case sets them; put back at its end.
class Variables {
 public:
  explicit Variables(const std::map<std::string, std::string>& values) {
    for (const char* name :
         {"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME", "HOME", "PLACE"}) {
      const char* old = std::getenv(name);
      before_[name] = old == nullptr ? "" : old;
      const auto value = values.find(name);
      if (value == values.end()) {
        ::unsetenv(name);
      } else {
        ::setenv(name, value->second.c_str(), 1);
      }
    }
  }
  ~Variables() {
    for (const auto& [name, value] : before_) {
      if (value.empty()) {
        ::unsetenv(name.c_str());
      } else {
        ::setenv(name.c_str(), value.c_str(), 1);
      }
    }
  }
  Variables(const Variables&) = delete;
  Variables& operator=(const Variables&) = delete;

 private:
  std::map<std::string, std::string> before_;
};

// The expected places are huggingface_hub's (constants.HF_HUB_CACHE of 1.x with these variables),
// but for empty ones, which it takes as the working directory.
TEST(HubCache, IsWhereHuggingfaceHubHasIt) {
  const struct {
    std::map<std::string, std::string> variables;
    std::string directory;
  } cases[] = {
      {{{"HOME", "/h"}}, "/h/.cache/huggingface/hub"},
      {{{"HOME", "/h"}, {"XDG_CACHE_HOME", "/x"}}, "/x/huggingface/hub"},
      {{{"HOME", "/h"}, {"XDG_CACHE_HOME", "~/x"}}, "/h/x/huggingface/hub"},
      {{{"HOME", "/h"}, {"XDG_CACHE_HOME", "/x"}, {"HF_HOME", "/hf"}}, "/hf/hub"},
      {{{"HOME", "/h"}, {"HF_HOME", "~/hf"}}, "/h/hf/hub"},
      {{{"HOME", "/h"}, {"HF_HOME", "$PLACE/hf"}, {"PLACE", "/p"}}, "/p/hf/hub"},
      {{{"HOME", "/h"}, {"HF_HOME", "${PLACE}s/hf"}, {"PLACE", "/p"}}, "/ps/hf/hub"},
      {{{"HOME", "/h"}, {"HF_HOME", "/$PLACE/hf"}}, "/$PLACE/hf/hub"},
      {{{"HOME", "/h"}, {"HF_HOME", "/hf"}, {"HUGGINGFACE_HUB_CACHE", "/old"}}, "/old"},
      {{{"HOME", "/h"}, {"HF_HUB_CACHE", "/new"}, {"HUGGINGFACE_HUB_CACHE", "/old"}}, "/new"},
      {{{"HOME", "/h"}, {"HF_HUB_CACHE", "~/c"}}, "/h/c"},
      {{{"HOME", "/h"}, {"HF_HUB_CACHE", ""}, {"HF_HOME", ""}}, "/h/.cache/huggingface/hub"},
  };
  for (const auto& c : cases) {
    const Variables variables(c.variables);
    EXPECT_EQ(hub_cache_directory(), c.directory);
  }
}

class CachedModel : public ::testing::Test {
 protected:
  CachedModel() : variables_({{"HOME", "/h"}, {"HF_HUB_CACHE", temp_.path()}}) {
    for (const char* commit : {"c0ffee", "decaf"}) {
      make_directories(temp_.file(kSnapshots + commit));
    }
    make_directories(temp_.file("models--org--name/refs/refs/pr"));
    write_file(temp_.file("models--org--name/refs/main"), "c0ffee");
    write_file(temp_.file("models--org--name/refs/v1"), "decaf\n");
    write_file(temp_.file("models--org--name/refs/refs/pr/1"), "decaf");
    make_directories(temp_.file("models--gpt2/snapshots/abc"));
  }
  std::string refusal(const std::string& name) const {
    return error_text<DataError>([&] { resolve_model_path(name); });
  }

  inline static const std::string kSnapshots = "models--org--name/snapshots/";
  TempDirectory temp_;
  Variables variables_;
};

TEST_F(CachedModel, IsFoundByNameAndRevision) {
  const std::pair<const char*, const char*> cases[] = {
      {"org/name", "c0ffee"},      {"org/name@main", "c0ffee"},     {"org/name@v1", "decaf"},
      {"org/name@decaf", "decaf"}, {"org/name@refs/pr/1", "decaf"}, {"org/name@c0ffee", "c0ffee"},
  };
  for (const auto& [name, commit] : cases) {
    EXPECT_EQ(resolve_model_path(name), temp_.file(kSnapshots + commit)) << name;
  }
  EXPECT_EQ(resolve_model_path(temp_.path()), temp_.path());
}

TEST_F(CachedModel, IsRefusedWithWhatTheCacheHas) {
  const std::string root = temp_.file("models--org--name");
  for (const char* revision : {"v2", "../../x", ""}) {
    EXPECT_EQ(refusal(str("org/name@", revision)),
              str("org/name@", revision, ": the cache has no revision \"", revision, "\" of it (",
                  root, " has c0ffee, decaf); org/name@c0ffee names one"));
  }
  EXPECT_EQ(refusal("gpt2"), str("gpt2: the cache has no revision \"main\" of it (",
                                 temp_.file("models--gpt2"), " has abc); gpt2@abc names one"));
  EXPECT_EQ(refusal("org/other"), str("org/other: there is no such folder or file, nor a model of "
                                      "this name in ",
                                      temp_.path()));
}

}  // namespace
}  // namespace inlay
