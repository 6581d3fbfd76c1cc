// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/io/file_system.h"
#include "core/types.h"

/// A file system that fails on purpose.
///
/// What is below `root` is kept in memory, twice: as a program sees it, and as a power cut would
/// leave it. Bytes become durable by syncing their file; names (creations, renames, removals) by
/// syncing their directory. Names not yet synced are a journal: a power cut may keep any first part
/// of it. Paths elsewhere are the real ones, for reading only.
namespace inlay {

enum class Fault {
  kNoSpace,     // ENOSPC
  kQuota,       // EDQUOT
  kIoError,     // EIO
  kShortWrite,  // half of a write arrives, then ENOSPC; other operations as kNoSpace
  kCrash,       // throws SimulatedCrash, as does everything after it, until `restart`
};

/// Not an inlay::Error: a power cut is nothing a program can handle.
struct SimulatedCrash {};

/// What becomes of bytes that were written but not synced.
enum class UnsyncedBytes { kKept, kLost, kTorn };  // torn: half of them arrive, the rest is zeros

class FaultyFileSystem final : public FileSystem {
 public:
  explicit FaultyFileSystem(std::string root);
  FaultyFileSystem(const FaultyFileSystem&) = delete;
  FaultyFileSystem& operator=(const FaultyFileSystem&) = delete;
  ~FaultyFileSystem() override;

  /// Operations asked for since the last fail_at or restart: every call of the interface is one.
  i64 operations() const { return operations_; }
  /// Operation `number` (from 0) fails, and with `forever` all after it too.
  void fail_at(i64 number, Fault fault, bool forever = false);
  void fail_never() { fail_at(-1, Fault::kIoError); }
  /// Whether `exchange` works here.
  void set_can_exchange(bool can) { can_exchange_ = can; }

  /// How many changes of names a power cut would put in question.
  i64 unsynced_names() const { return static_cast<i64>(journal_.size()); }
  /// Power cut and restart: of the unsynced names the first `kept_names` survive. Nothing fails
  /// from here on.
  void restart(i64 kept_names, UnsyncedBytes bytes);

  FileInfo info(const std::string& path) override;
  std::vector<std::string> list(const std::string& directory) override;
  std::shared_ptr<const MappedFile> map(const std::string& path) override;
  std::string read(const std::string& path, i64 limit) override;
  std::unique_ptr<OutputFile> create(const std::string& path, i64 expected_bytes) override;
  std::unique_ptr<OutputFile> append(const std::string& path, i64 keep_bytes) override;
  void sync(const std::string& path) override;
  void rename(const std::string& from, const std::string& to) override;
  bool exchange(const std::string& a, const std::string& b) override;
  void remove(const std::string& path) override;
  void make_directory(const std::string& path) override;
  std::unique_ptr<DirectoryLock> lock(const std::string& directory) override;

 private:
  struct Node;
  class File;
  class Lock;
  using NodePtr = std::shared_ptr<Node>;
  struct Node {
    bool directory = false;
    bool locked = false;
    std::string data, durable_data;
    std::map<std::string, NodePtr> names, durable_names;
  };
  struct Place {
    NodePtr parent;
    std::string name;
  };
  struct NameChange {
    NodePtr parent;
    std::string name;
    NodePtr node;  // null: the name goes
  };
  using Change = std::vector<NameChange>;  // of one operation: all of it survives, or nothing

  bool is_here(const std::string& path) const;
  void require_here(const std::string& path) const;
  /// Counts one operation; true when it is to fail with an errno, which `error_` then holds.
  bool fails();
  void operation(const std::string& path, std::string_view action);
  NodePtr find(const std::string& path) const;
  NodePtr existing(const std::string& path, std::string_view action) const;
  Place place(const std::string& path, std::string_view action) const;
  void change_names(Change change);
  static void make_durable(const Change& change);
  static void restart_node(Node& node, UnsyncedBytes bytes);

  std::string root_;
  NodePtr top_;
  std::vector<Change> journal_;
  bool can_exchange_ = true;
  i64 operations_ = 0;
  i64 fail_at_ = -1;
  Fault fault_ = Fault::kIoError;
  bool forever_ = false;
  bool crashed_ = false;
  int error_ = 0;
};

}  // namespace inlay
