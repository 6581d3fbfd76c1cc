// SPDX-License-Identifier: Apache-2.0
#include "core/memory/available.h"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <limits>
#include <optional>
#include <sstream>

// These are the kernel's own small files, in memory and always readable in one go, so they are read
// directly and not through file_system().
namespace inlay {
namespace {

constexpr i64 kUnlimited = std::numeric_limits<i64>::max();

std::optional<i64> number_in(const std::string& text) {
  i64 value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() ? std::optional(value) : std::nullopt;  // "max" is no number
}

std::optional<i64> number_of(const std::string& path) {
  std::string word;
  std::ifstream(path) >> word;
  return number_in(word);
}

// The number behind `key` in a file of lines "key number".
i64 value_of(const std::string& path, const std::string& key) {
  std::ifstream file(path);
  for (std::string name, word; file >> name >> word;) {
    if (name == key) {
      return number_in(word).value_or(0);
    }
    file.ignore(std::numeric_limits<std::streamsize>::max(), '\n');
  }
  return 0;
}

i64 machine_available(const std::string& root) {
  const i64 kilobytes = value_of(root + "/proc/meminfo", "MemAvailable:");
  return kilobytes > 0 ? kilobytes * 1024 : kUnlimited;
}

struct GroupFiles {
  const char* limit;
  const char* usage;
  const char* reclaimable;  // a line of memory.stat
};

constexpr GroupFiles kVersion1 = {"memory.limit_in_bytes", "memory.usage_in_bytes",
                                  "total_inactive_file"};
constexpr GroupFiles kVersion2 = {"memory.max", "memory.current", "inactive_file"};

// What the groups from `group` up to the root of the hierarchy at `mount` leave.
i64 group_available(const std::string& mount, std::string group, const GroupFiles& files) {
  i64 least = kUnlimited;
  while (true) {
    const std::string folder = mount + (group == "/" ? "" : group) + "/";
    const std::optional<i64> limit = number_of(folder + files.limit);
    const std::optional<i64> usage = number_of(folder + files.usage);
    if (limit && usage) {
      // Pages of files count as used by a group, though the system drops them first.
      const i64 droppable = std::min(*usage, value_of(folder + "memory.stat", files.reclaimable));
      least = std::min(least, std::max<i64>(0, *limit - *usage + droppable));
    }
    const std::size_t slash = group.rfind('/');
    if (group.size() <= 1 || slash == std::string::npos) {
      return least;
    }
    // Every group around has a limit of its own.
    group.resize(std::max<std::size_t>(1, slash));
  }
}

i64 groups_available(const std::string& root) {
  i64 least = kUnlimited;
  std::ifstream file(root + "/proc/self/cgroup");
  // "id:controllers:path"; version 2 has id 0 and no controllers. In a container the path may be
  // that outside of it, so the mount's own root is looked at as well.
  for (std::string line; std::getline(file, line);) {
    std::istringstream parts(line);
    std::string id, controllers, group;
    std::getline(parts, id, ':');
    std::getline(parts, controllers, ':');
    std::getline(parts, group);
    if (controllers.empty()) {
      least = std::min(least, group_available(root + "/sys/fs/cgroup", group, kVersion2));
    } else if (("," + controllers + ",").find(",memory,") != std::string::npos) {
      least = std::min(least, group_available(root + "/sys/fs/cgroup/memory", group, kVersion1));
    }
  }
  return least;
}

}  // namespace

i64 available_memory(const std::string& root) {
  return std::min(machine_available(root), groups_available(root));
}

i64 machine_memory(const std::string& root) {
  return value_of(root + "/proc/meminfo", "MemTotal:") * 1024;
}

}  // namespace inlay
