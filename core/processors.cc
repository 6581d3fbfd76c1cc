// SPDX-License-Identifier: Apache-2.0
#include "core/processors.h"

#include <algorithm>
#include <fstream>
#include <sstream>

// Like core/memory/available.cc, of the kernel's own small files.
namespace inlay {
namespace {

// "max 100000" and a quota of -1 mean none.
std::optional<double> quota_in(const std::string& quota, const std::string& period) {
  std::istringstream text(quota + " " + period);
  double time = 0.0;
  double of = 0.0;
  return text >> time >> of && time > 0.0 && of > 0.0 ? std::optional(time / of) : std::nullopt;
}

std::string word_of(const std::string& path) {
  std::string word;
  std::ifstream(path) >> word;
  return word;
}

std::optional<double> quota_of(const std::string& folder, bool version2) {
  if (!version2) {
    return quota_in(word_of(folder + "cpu.cfs_quota_us"), word_of(folder + "cpu.cfs_period_us"));
  }
  std::string quota;
  std::string period;
  std::ifstream(folder + "cpu.max") >> quota >> period;
  return quota_in(quota, period);
}

// The least from `group` up to the root of the hierarchy at `mount`: every group around has a limit
// of its own.
void take_least(const std::string& mount, std::string group, bool version2,
                std::optional<double>& least) {
  while (true) {
    const std::string folder = mount + (group == "/" ? "" : group) + "/";
    if (const std::optional<double> quota = quota_of(folder, version2)) {
      least = std::min(least.value_or(*quota), *quota);
    }
    const std::size_t slash = group.rfind('/');
    if (group.size() <= 1 || slash == std::string::npos) {
      return;
    }
    group.resize(std::max<std::size_t>(1, slash));
  }
}

}  // namespace

std::string processor_name(const std::string& root) {
  std::ifstream file(root + "/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    const std::size_t colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) {
      return line.substr(colon + 2);
    }
  }
  return "";
}

std::optional<double> processor_quota(const std::string& root) {
  std::optional<double> least;
  std::ifstream file(root + "/proc/self/cgroup");
  // "id:controllers:path"; version 2 has id 0 and no controllers.
  for (std::string line; std::getline(file, line);) {
    std::istringstream parts(line);
    std::string id, controllers, group;
    std::getline(parts, id, ':');
    std::getline(parts, controllers, ':');
    std::getline(parts, group);
    if (controllers.empty()) {
      take_least(root + "/sys/fs/cgroup", group, true, least);
    } else if (("," + controllers + ",").find(",cpu,") != std::string::npos) {
      take_least(root + "/sys/fs/cgroup/cpu", group, false, least);
    }
  }
  return least;
}

}  // namespace inlay
