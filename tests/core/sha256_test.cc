// SPDX-License-Identifier: Apache-2.0
#include "core/io/sha256.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "core/error.h"
#include "core/io/atomic.h"
#include "tests/support/temp_directory.h"

namespace inlay {
namespace {

std::string hash_of(const std::string& text) {
  return sha256_hex(std::as_bytes(std::span(text)));
}

// FIPS 180-4's examples.
TEST(Sha256, GivesThePublishedDigests) {
  EXPECT_EQ(hash_of(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(hash_of("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(hash_of("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(hash_of(std::string(1'000'000, 'a')),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Sha256, DoesNotDependOnThePieces) {
  const std::string text(300, 'x');
  for (const std::size_t piece : {1, 7, 63, 64, 65, 128, 299}) {
    Sha256 hash;
    for (std::size_t at = 0; at < text.size(); at += piece) {
      hash.update(std::as_bytes(std::span(text)).subspan(at, std::min(piece, text.size() - at)));
    }
    EXPECT_EQ(hash.hex(), hash_of(text)) << piece;
  }
}

TEST(Sha256, HashesFiles) {
  const TempDirectory temp;
  std::string text;
  text.resize(20'000'000, 'y');
  write_file(temp.file("a"), text);
  EXPECT_EQ(sha256_file(temp.file("a")), hash_of(text));
  EXPECT_THROW(sha256_file(temp.file("none")), IoError);
}

/// Whether a checksum comes out where the machine's configuration takes OpenSSL's own algorithms
/// away.
bool hashes_without_the_default_provider() {
  const TempDirectory temp;
  write_file(temp.file("openssl.cnf"),
             "openssl_conf = init\n[init]\nproviders = providers\n"
             "[providers]\nnull = null_provider\n[null_provider]\nactivate = 1\n");
  ::setenv("OPENSSL_CONF", temp.file("openssl.cnf").c_str(), 1);
  return hash_of("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
}

TEST(Sha256, ReadsNoConfigurationOfTheMachine) {
  // A configuration is read once a process, so this one has to be new.
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(std::exit(hashes_without_the_default_provider() ? 0 : 1),
              ::testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace inlay
