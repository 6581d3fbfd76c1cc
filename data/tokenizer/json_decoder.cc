// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <utility>

#include "data/text/utf8.h"
#include "data/tokenizer/decode_steps.h"
#include "data/tokenizer/json_loader.h"

namespace inlay {
namespace {

class DecoderReader {
 public:
  void add(const JsonView& json) {
    const std::string& type = json.at("type").string();
    if (type == "Sequence") {
      json.at("decoders").each_element([&](const JsonView& step) { add(step); });
      return;
    }
    if (is_fused_ && type != "Strip" && type != "Fuse") {
      json.fail(str("\"", printable(type),
                    "\" comes after pieces are put together; only Strip and Fuse may"));
    }
    steps_.push_back(step(json, type));
  }

  i64 byte_levels() const { return byte_levels_; }

  std::unique_ptr<const Decoder> take() {
    if (byte_levels_ == 1 && steps_.size() == 1) {
      return std::make_unique<ByteLevelDecoder>();
    }
    return std::make_unique<StepDecoder>(std::move(steps_));
  }

 private:
  DecodeStepPtr step(const JsonView& json, const std::string& type) {
    if (type == "ByteLevel") {
      ++byte_levels_;
      is_fused_ = true;
      return letters_to_bytes();
    }
    if (type == "Fuse") {
      is_fused_ = true;
      return fuse_pieces();
    }
    if (type == "Replace") {
      return replace_in_pieces(pattern_from_json(json.at("pattern")), json.at("content").string());
    }
    if (type == "ByteFallback") {
      return bytes_of_pieces();
    }
    if (type == "Strip") {
      return strip_of(json);
    }
    if (type == "Metaspace") {
      const MetaspaceJson metaspace = metaspace_from_json(json);
      return metaspace_to_blanks(metaspace.replacement, metaspace.scheme != PrependScheme::kNever);
    }
    refuse_type(json, "ByteLevel, Metaspace, Replace, ByteFallback, Fuse, Strip and Sequence");
  }

  static DecodeStepPtr strip_of(const JsonView& json) {
    const JsonView content = json.at("content");
    const std::string& text = content.string();
    if (text.empty() || code_point_at(text, 0).length != static_cast<i64>(text.size())) {
      content.fail("must be one character");
    }
    return strip_pieces(text, std::max(i64{0}, json.at("start").integer()),
                        std::max(i64{0}, json.at("stop").integer()));
  }

  std::vector<DecodeStepPtr> steps_;
  i64 byte_levels_ = 0;
  bool is_fused_ = false;
};

}  // namespace

std::unique_ptr<const Decoder> decoder_from_json(const JsonView& root, bool is_byte_level) {
  const auto json = root.find("decoder");
  if (!json) {
    root.fail(
        "there is no decoder; supported are ByteLevel, Metaspace, Replace, ByteFallback, Fuse, "
        "Strip and Sequence");
  }
  DecoderReader reader;
  reader.add(*json);
  if (is_byte_level && reader.byte_levels() != 1) {
    json->fail("there must be one ByteLevel decoder");
  }
  return reader.take();
}

}  // namespace inlay
