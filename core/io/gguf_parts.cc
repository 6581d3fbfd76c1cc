// SPDX-License-Identifier: Apache-2.0
#include <cstdio>
#include <utility>

#include "core/error.h"
#include "core/io/gguf.h"
#include "core/io/gguf_types.h"

// Models split by llama.cpp's gguf-split: each part has `split.no`, from 0, and `split.count`; the
// first alone has the metadata, and `split.tensors.count` counts the tensors of all.
namespace inlay {
namespace {

// "-00001-of-00003.gguf"
std::string part_ending(i64 number, i64 count) {
  char text[40];
  std::snprintf(text, sizeof text, "-%05ld-of-%05ld.gguf", static_cast<long>(number),
                static_cast<long>(count));
  return text;
}

std::string required_ending(const GgufFile& file, i64 number, i64 count) {
  std::string ending = part_ending(number, count);
  if (!file.path().ends_with(ending)) {
    throw DataError(str(printable(file.path(), 300), ": part ", number, " of a model split into ",
                        count, " files, whose name should end in ", ending,
                        " for the others to be found"));
  }
  return ending;
}

}  // namespace

GgufFile GgufFile::with_all_parts(const std::string& path) {
  GgufFile whole(path);
  const i64 count = whole.find_int("split.count").value_or(1);
  if (count <= 1) {
    return whole;
  }
  constexpr i64 kMaxParts = 99'999;  // five digits
  const i64 number = whole.find_int("split.no").value_or(0) + 1;
  if (count > kMaxParts || number < 1 || number > count) {
    throw DataError(str(detail::gguf_where(path, "split.no"), ": part ", number, " of ", count));
  }
  const std::string ending = required_ending(whole, number, count);
  const std::string stem = path.substr(0, path.size() - ending.size());
  if (number != 1) {
    throw DataError(str(printable(path, 300), ": part ", number, " of a model split into ", count,
                        " files; give the first, ",
                        printable(base_name(stem + part_ending(1, count)), 300)));
  }
  for (i64 n = 2; n <= count; ++n) {
    const std::string other = stem + part_ending(n, count);
    if (!is_file(other)) {
      throw DataError(str(printable(path, 300), ": the first of ", count,
                          " files of a split model, and ", printable(base_name(other), 300),
                          " is not beside it"));
    }
    GgufFile part(other);
    if (part.find_int("split.no") != n - 1 || part.find_int("split.count") != count) {
      throw DataError(str(printable(other, 300), ": expected part ", n, " of ", count,
                          " by its \"split.no\" and \"split.count\""));
    }
    whole.take_tensors_of(std::move(part));
  }
  const auto expected = whole.find_int("split.tensors.count");
  if (expected && *expected != static_cast<i64>(whole.tensors_.size())) {
    throw DataError(str(detail::gguf_where(path, "split.tensors.count"), ": ", *expected,
                        ", but its ", count, " files hold ", whole.tensors_.size()));
  }
  return whole;
}

std::vector<std::string> GgufFile::parts() const {
  std::vector<std::string> paths = {path()};
  for (const auto& part : other_parts_) {
    paths.push_back(part->path());
  }
  return paths;
}

void GgufFile::take_tensors_of(GgufFile part) {
  for (GgufTensor& tensor : part.tensors_) {
    if (!tensor_index_.emplace(tensor.name, tensors_.size()).second) {
      throw DataError(str(detail::gguf_where(part.path(), tensor.name),
                          ": another part of the model has a tensor of this name"));
    }
    tensors_.push_back(std::move(tensor));
  }
  other_parts_.push_back(std::move(part.file_));
}

}  // namespace inlay
