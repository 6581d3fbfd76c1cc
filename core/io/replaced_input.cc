// SPDX-License-Identifier: Apache-2.0
#include "core/io/replaced_input.h"

#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <optional>
#include <system_error>
#include <vector>

#include "core/error.h"
#include "core/io/file_system.h"

namespace inlay {
namespace {

namespace fs = std::filesystem;

// What the system knows a file by, whatever its names.
struct FileNumber {
  dev_t device = 0;
  ino_t inode = 0;
  friend bool operator==(const FileNumber&, const FileNumber&) = default;
};

struct Output {
  std::string path;
  FileNumber number;
};

// Of what `path` leads to through links; nothing where there is nothing.
std::optional<FileNumber> number_of(const std::string& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0
             ? std::optional(FileNumber{status.st_dev, status.st_ino})
             : std::nullopt;
}

// The one folder below a model's own that is part of it.
constexpr std::string_view kTemplateFolder = "additional_chat_templates";

// The files of an input, which may be links to elsewhere; a folder's subfolders are not part of it:
// a run is often in a folder below the model it starts from.
void add_files(const std::string& path, bool top, std::vector<std::string>& out) {
  if (!is_directory(path)) {
    out.push_back(path);
    return;
  }
  for (const std::string& name : file_system().list(path)) {
    const std::string child = join_path(path, name);
    if (!is_directory(child)) {
      out.push_back(child);
    } else if (top && name == kTemplateFolder) {
      add_files(child, false, out);
    }
  }
}

const Output* one_of(const fs::path& path, const std::vector<Output>& outputs) {
  const auto number = number_of(path.string());
  const auto it = number ? std::ranges::find(outputs, *number, &Output::number) : outputs.end();
  return it == outputs.end() ? nullptr : &*it;
}

// The output that `path` is or is in.
const Output* holder_of(const std::string& path, const std::vector<Output>& outputs) {
  std::error_code error;
  fs::path place = fs::canonical(path, error);
  if (error) {
    return nullptr;
  }
  while (true) {
    if (const Output* output = one_of(place, outputs)) {
      return output;
    }
    if (place == place.parent_path()) {
      return nullptr;
    }
    place = place.parent_path();
  }
}

// For a file of a folder that is in none of them: only by being one, by being a link, or in a
// subfolder.
const Output* holder_of_child(const std::string& path, const std::vector<Output>& outputs) {
  const bool elsewhere =
      file_system().info(path).link || base_name(parent_path(path)) == kTemplateFolder;
  return elsewhere ? holder_of(path, outputs) : one_of(path, outputs);
}

}  // namespace

std::optional<ReplacedInput> find_replaced_input(std::span<const std::string> outputs,
                                                 std::span<const CommandInput> inputs) {
  std::vector<Output> there;
  for (const std::string& path : outputs) {
    if (const auto number = number_of(path)) {
      there.push_back({path, *number});
    }
  }
  if (there.empty()) {
    return {};
  }
  for (const CommandInput& input : inputs) {
    if (const Output* output = holder_of(input.path, there)) {
      return ReplacedInput{output->path, input.what, input.path};
    }
    std::vector<std::string> files;
    add_files(input.path, true, files);
    for (const std::string& file : files) {
      if (const Output* output = holder_of_child(file, there)) {
        return ReplacedInput{output->path, input.what, file};
      }
    }
  }
  return {};
}

void require_inputs_stay(std::span<const std::string> outputs, std::span<const CommandInput> inputs,
                         const std::string& advice) {
  if (const auto lost = find_replaced_input(outputs, inputs)) {
    throw ConfigError(str(printable(lost->output, 300), ": this would be replaced, and it is or ",
                          "holds ", lost->what, ", ", printable(lost->path, 300), "; ", advice));
  }
}

}  // namespace inlay
