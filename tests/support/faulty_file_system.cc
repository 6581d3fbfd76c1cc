// SPDX-License-Identifier: Apache-2.0
#include "tests/support/faulty_file_system.h"

#include <algorithm>
#include <cerrno>
#include <stdexcept>
#include <utility>

#include "core/error.h"
#include "tests/support/memory_file.h"

namespace inlay {
namespace {

int errno_of(Fault fault) {
  switch (fault) {
    case Fault::kNoSpace:
    case Fault::kShortWrite:
      return ENOSPC;
    case Fault::kQuota:
      return EDQUOT;
    default:
      return EIO;
  }
}

}  // namespace

class FaultyFileSystem::File final : public OutputFile {
 public:
  File(FaultyFileSystem& files, std::string path, NodePtr node, i64 expected_bytes)
      : files_(files), path_(std::move(path)), node_(std::move(node)), expected_(expected_bytes) {}

  void write(std::span<const std::byte> bytes) override {
    const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    const auto size = static_cast<i64>(node_->data.size() + text.size());
    if (files_.fails()) {
      if (files_.fault_ == Fault::kShortWrite) {
        node_->data += text.substr(0, text.size() / 2);
      }
      throw_io_error(path_, "write", files_.error_, std::max(expected_, size));
    }
    node_->data += text;
  }
  void sync() override {
    files_.operation(path_, "write");
    node_->durable_data = node_->data;
  }
  void close() override { files_.operation(path_, "write"); }

 private:
  FaultyFileSystem& files_;
  std::string path_;
  NodePtr node_;
  i64 expected_;
};

class FaultyFileSystem::Lock final : public DirectoryLock {
 public:
  explicit Lock(NodePtr node) : node_(std::move(node)) { node_->locked = true; }
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;
  ~Lock() override { node_->locked = false; }

 private:
  NodePtr node_;
};

FaultyFileSystem::FaultyFileSystem(std::string root)
    : root_(std::move(root)), top_(std::make_shared<Node>()) {
  top_->directory = true;
}

FaultyFileSystem::~FaultyFileSystem() = default;

void FaultyFileSystem::fail_at(i64 number, Fault fault, bool forever) {
  operations_ = 0;
  fail_at_ = number;
  fault_ = fault;
  forever_ = forever;
}

bool FaultyFileSystem::fails() {
  if (crashed_) {
    throw SimulatedCrash();
  }
  const i64 number = operations_++;
  const bool hit = fail_at_ >= 0 && (number == fail_at_ || (forever_ && number > fail_at_));
  if (hit && fault_ == Fault::kCrash) {
    crashed_ = true;
    throw SimulatedCrash();
  }
  error_ = errno_of(fault_);
  return hit;
}

void FaultyFileSystem::operation(const std::string& path, std::string_view action) {
  if (fails()) {
    throw_io_error(path, action, error_);
  }
}

void FaultyFileSystem::restart(i64 kept_names, UnsyncedBytes bytes) {
  INLAY_ASSERT(kept_names <= unsynced_names());
  for (i64 i = 0; i < kept_names; ++i) {
    make_durable(journal_[i]);
  }
  journal_.clear();
  restart_node(*top_, bytes);
  crashed_ = false;
  fail_never();
}

void FaultyFileSystem::restart_node(Node& node, UnsyncedBytes bytes) {
  if (bytes == UnsyncedBytes::kLost) {
    node.data = node.durable_data;
  } else if (bytes == UnsyncedBytes::kTorn && node.data.size() > node.durable_data.size()) {
    const std::size_t torn = (node.data.size() + node.durable_data.size()) / 2;
    std::fill(node.data.begin() + static_cast<i64>(torn), node.data.end(), '\0');
  }
  node.durable_data = node.data;
  node.locked = false;
  node.names = node.durable_names;
  for (const auto& [name, child] : node.names) {
    restart_node(*child, bytes);
  }
}

bool FaultyFileSystem::is_here(const std::string& path) const {
  return path == root_ || path.starts_with(root_ + "/");
}

void FaultyFileSystem::require_here(const std::string& path) const {
  if (!is_here(path)) {
    throw std::logic_error("a test writes outside its memory: " + path);
  }
}

FaultyFileSystem::NodePtr FaultyFileSystem::find(const std::string& path) const {
  NodePtr node = top_;
  for (std::size_t at = root_.size(); node && at < path.size();) {
    const std::size_t end = std::min(path.find('/', at + 1), path.size());
    const std::string name = path.substr(at + 1, end - at - 1);
    at = end;
    if (!name.empty()) {
      const auto child = node->names.find(name);
      node = child == node->names.end() ? nullptr : child->second;
    }
  }
  return node;
}

FaultyFileSystem::NodePtr FaultyFileSystem::existing(const std::string& path,
                                                     std::string_view action) const {
  NodePtr node = find(path);
  if (!node) {
    throw_io_error(path, action, ENOENT);
  }
  return node;
}

FaultyFileSystem::Place FaultyFileSystem::place(const std::string& path,
                                                std::string_view action) const {
  require_here(path);
  NodePtr parent = find(parent_path(path));
  if (!parent) {
    throw_io_error(path, action, ENOENT);
  }
  return {parent, base_name(path)};
}

void FaultyFileSystem::change_names(Change change) {
  for (const NameChange& c : change) {
    if (c.node) {
      c.parent->names[c.name] = c.node;
    } else {
      c.parent->names.erase(c.name);
    }
  }
  journal_.push_back(std::move(change));
}

void FaultyFileSystem::make_durable(const Change& change) {
  for (const NameChange& c : change) {
    if (c.node) {
      c.parent->durable_names[c.name] = c.node;
    } else {
      c.parent->durable_names.erase(c.name);
    }
  }
}

FileInfo FaultyFileSystem::info(const std::string& path) {
  operation(path, "look up");
  if (!is_here(path)) {
    return posix_file_system().info(path);
  }
  const NodePtr node = find(path);
  if (!node) {
    return {};
  }
  return {.kind = node->directory ? FileKind::kDirectory : FileKind::kFile,
          .size = static_cast<i64>(node->data.size())};
}

std::vector<std::string> FaultyFileSystem::list(const std::string& directory) {
  operation(directory, "list");
  if (!is_here(directory)) {
    return posix_file_system().list(directory);
  }
  std::vector<std::string> names;
  for (const auto& [name, node] : existing(directory, "list")->names) {
    names.push_back(name);
  }
  return names;
}

std::shared_ptr<const MappedFile> FaultyFileSystem::map(const std::string& path) {
  operation(path, "map");
  if (!is_here(path)) {
    return posix_file_system().map(path);
  }
  return memory_file(path, existing(path, "open")->data);
}

std::string FaultyFileSystem::read(const std::string& path, i64 limit) {
  operation(path, "read");
  if (!is_here(path)) {
    return posix_file_system().read(path, limit);
  }
  const NodePtr node = existing(path, "open");
  if (static_cast<i64>(node->data.size()) > limit) {
    throw IoError(str(path, ": cannot read: more than ", limit, " bytes"));
  }
  return node->data;
}

std::unique_ptr<OutputFile> FaultyFileSystem::create(const std::string& path, i64 expected_bytes) {
  operation(path, "create");
  const Place at = place(path, "create");
  if (at.parent->names.contains(at.name)) {
    return nullptr;
  }
  auto node = std::make_shared<Node>();
  change_names({{at.parent, at.name, node}});
  return std::make_unique<File>(*this, path, node, expected_bytes);
}

std::unique_ptr<OutputFile> FaultyFileSystem::append(const std::string& path, i64 keep_bytes) {
  operation(path, "open");
  const Place at = place(path, "create");
  NodePtr& node = at.parent->names[at.name];
  if (!node) {
    node = std::make_shared<Node>();
    change_names({{at.parent, at.name, node}});
  }
  node->data.resize(static_cast<std::size_t>(keep_bytes));
  return std::make_unique<File>(*this, path, node, 0);
}

void FaultyFileSystem::sync(const std::string& path) {
  operation(path, "write");
  require_here(path);
  const NodePtr node = existing(path, "open");
  node->durable_data = node->data;
  std::erase_if(journal_, [&](const Change& change) {
    const bool here = std::any_of(change.begin(), change.end(),
                                  [&](const NameChange& c) { return c.parent == node; });
    if (here) {
      make_durable(change);
    }
    return here;
  });
}

void FaultyFileSystem::rename(const std::string& from, const std::string& to) {
  const std::string action = str("put ", base_name(from), " in its place");
  operation(to, action);
  const NodePtr node = existing(from, action);
  const NodePtr target = find(to);
  if (target && !target->names.empty()) {
    throw_io_error(to, action, ENOTEMPTY);
  }
  const Place source = place(from, action);
  const Place goal = place(to, action);
  change_names({{source.parent, source.name, nullptr}, {goal.parent, goal.name, node}});
}

bool FaultyFileSystem::exchange(const std::string& a, const std::string& b) {
  const std::string action = str("put ", base_name(a), " in its place");
  operation(b, action);
  if (!can_exchange_) {
    return false;
  }
  const Place first = place(a, action);
  const Place second = place(b, action);
  change_names({{first.parent, first.name, existing(b, action)},
                {second.parent, second.name, existing(a, action)}});
  return true;
}

void FaultyFileSystem::remove(const std::string& path) {
  operation(path, "remove");
  if (!existing(path, "remove")->names.empty()) {
    throw_io_error(path, "remove", ENOTEMPTY);
  }
  const Place at = place(path, "remove");
  change_names({{at.parent, at.name, nullptr}});
}

void FaultyFileSystem::make_directory(const std::string& path) {
  operation(path, "make the directory");
  if (const NodePtr node = find(path); node && node->directory) {
    return;
  }
  const Place at = place(path, "make the directory");
  auto node = std::make_shared<Node>();
  node->directory = true;
  change_names({{at.parent, at.name, node}});
}

std::unique_ptr<DirectoryLock> FaultyFileSystem::lock(const std::string& directory) {
  operation(directory, "lock");
  const NodePtr node = existing(directory, "lock");
  if (node->locked) {
    throw ConfigError(str(directory,
                          ": process 1 is using this directory; wait for it or choose "
                          "another one"));
  }
  return std::make_unique<Lock>(node);
}

}  // namespace inlay
