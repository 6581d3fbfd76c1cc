// SPDX-License-Identifier: Apache-2.0
#include "finetune/model_cache.h"

#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <optional>
#include <vector>

#include "core/error.h"
#include "core/io/file_system.h"

// <cache>/models--org--name/
//   refs/main                the commit that a branch or tag meant when it was last asked for
//   snapshots/<commit>/…     its files
namespace inlay {
namespace {

std::string environment(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  return value == nullptr ? "" : value;
}

std::string home_of(const std::string& user) {
  if (std::string home = environment("HOME"); user.empty() && !home.empty()) {
    return home;
  }
  const passwd* entry = user.empty() ? getpwuid(getuid()) : getpwnam(user.c_str());
  return entry == nullptr ? "" : entry->pw_dir;
}

// "~/x" and "~user/x", as Python's expanduser.
std::string with_home(const std::string& path) {
  if (!path.starts_with('~')) {
    return path;
  }
  const std::size_t end = std::min(path.find('/'), path.size());
  const std::string home = home_of(path.substr(1, end - 1));
  return home.empty() ? path : home + path.substr(end);
}

// "$NAME" and "${NAME}", as Python's expandvars: what is not set stays as it is written.
std::string with_variables(const std::string& path) {
  std::string out;
  std::size_t i = 0;
  while (i < path.size()) {
    const bool braces = path[i] == '$' && i + 1 < path.size() && path[i + 1] == '{';
    const std::size_t begin = i + (braces ? 2 : 1);
    std::size_t end = begin;
    const auto part_of_name = [&](char c) {
      return braces ? c != '}' : std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
    };
    while (path[i] == '$' && end < path.size() && part_of_name(path[end])) {
      ++end;
    }
    const bool closed = !braces || end < path.size();
    const std::string name = path[i] == '$' ? path.substr(begin, end - begin) : "";
    if (!name.empty() && closed && std::getenv(name.c_str()) != nullptr) {
      out += environment(name);
      i = end + (braces ? 1 : 0);
    } else {
      out += path[i++];
    }
  }
  return out;
}

std::string expanded(const std::string& path) {
  return with_variables(with_home(path));
}

// A branch may be "refs/pr/1": slashes, but no way out of the folder.
bool is_inner_path(const std::string& path) {
  std::size_t begin = 0;
  while (begin <= path.size()) {
    const std::size_t end = std::min(path.find('/', begin), path.size());
    if (!is_plain_name(path.substr(begin, end - begin))) {
      return false;
    }
    begin = end + 1;
  }
  return true;
}

std::vector<std::string> names_in(const std::string& directory) {
  return is_directory(directory) ? file_system().list(directory) : std::vector<std::string>();
}

std::string commit_of(const std::string& root, const std::string& revision) {
  const std::string reference = join_path(root, "refs/" + revision);
  if (!is_inner_path(revision) || !is_file(reference)) {
    return revision;
  }
  std::string commit = file_system().read(reference, 256);
  commit.erase(commit.find_last_not_of(" \n\r") + 1);
  return commit;
}

std::string folder_of(const std::string& name) {
  std::string folder = "models--";
  for (const char c : name) {
    folder += c == '/' ? std::string("--") : std::string(1, c);
  }
  return folder;
}

std::string listed(const std::vector<std::string>& names) {
  constexpr std::size_t kShown = 5;
  std::string text;
  for (std::size_t i = 0; i < std::min(names.size(), kShown); ++i) {
    text += str(i == 0 ? "" : ", ", printable(names[i]));
  }
  return text + (names.size() > kShown ? ", …" : "");
}

std::optional<std::string> cached_model(const std::string& name) {
  const std::size_t at = std::min(name.find('@'), name.size());
  const std::string folder = folder_of(name.substr(0, at));
  const std::string root = join_path(hub_cache_directory(), folder);
  if (!is_plain_name(folder) || !is_directory(root)) {
    return {};
  }
  const std::string revision = at < name.size() ? name.substr(at + 1) : "main";
  const std::string commit = commit_of(root, revision);
  const std::string snapshots = join_path(root, "snapshots");
  if (is_plain_name(commit) && is_directory(join_path(snapshots, commit))) {
    return join_path(snapshots, commit);
  }
  const std::vector<std::string> there = names_in(snapshots);
  throw DataError(str(
      printable(name), ": the cache has no revision \"", printable(revision), "\" of it (", root,
      there.empty() ? " has none" : " has " + listed(there), ")",
      there.empty()
          ? ""
          : str("; ", printable(name.substr(0, at)), "@", printable(there.front()), " names one")));
}

}  // namespace

std::string hub_cache_directory() {
  for (const char* name : {"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"}) {
    if (const std::string hub = environment(name); !hub.empty()) {
      return expanded(hub);
    }
  }
  if (const std::string home = environment("HF_HOME"); !home.empty()) {
    return join_path(expanded(home), "hub");
  }
  const std::string caches = environment("XDG_CACHE_HOME");
  return join_path(expanded(caches.empty() ? "~/.cache" : caches), "huggingface/hub");
}

std::optional<std::string> find_model_path(const std::string& name) {
  return exists(name) ? std::optional(name) : cached_model(name);
}

std::string resolve_model_path(const std::string& name) {
  if (const auto path = find_model_path(name)) {
    return *path;
  }
  throw DataError(str(printable(name),
                      ": there is no such folder or file, nor a model of this name in ",
                      hub_cache_directory()));
}

}  // namespace inlay
