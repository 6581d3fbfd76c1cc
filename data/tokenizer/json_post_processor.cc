// SPDX-License-Identifier: Apache-2.0
#include "data/tokenizer/json_loader.h"

namespace inlay {
namespace {

class PostProcessorReader {
 public:
  explicit PostProcessorReader(TokenizerParts& parts) : parts_(parts) {}

  void read(const JsonView& json) {
    const std::string& type = json.at("type").string();
    if (type == "Sequence") {
      json.at("processors").each_element([&](const JsonView& step) { read(step); });
    } else if (type == "TemplateProcessing") {
      start_adding(json);
      read_template(json);
    } else if (type == "BertProcessing" || type == "RobertaProcessing") {
      start_adding(json);
      parts_.prefix.push_back(token_of_pair(json.at("cls")));
      parts_.suffix.push_back(token_of_pair(json.at("sep")));
    } else if (type != "ByteLevel") {  // which trims offsets, and adds nothing
      refuse_type(json,
                  "ByteLevel, TemplateProcessing, BertProcessing, RobertaProcessing and Sequence");
    }
  }

 private:
  void start_adding(const JsonView& json) {
    if (adds_already_) {
      json.fail("a second post-processor that adds tokens is not supported");
    }
    adds_already_ = true;
  }

  /// {"single": [{"SpecialToken": {"id": "<s>", …}}, {"Sequence": {"id": "A", …}}, …], …}
  void read_template(const JsonView& json) {
    const JsonView tokens = json.at("special_tokens");
    const JsonView single = json.at("single");
    bool behind_text = false;
    single.each_element([&](const JsonView& piece) {
      if (const auto sequence = piece.find("Sequence")) {
        if (behind_text || sequence->at("id").string() != "A") {
          sequence->fail("a template for one text must hold sequence A once, and no other");
        }
        behind_text = true;
        return;
      }
      const std::string& name = piece.at("SpecialToken").at("id").string();
      auto& side = behind_text ? parts_.suffix : parts_.prefix;
      tokens.at(name).at("ids").each_element(
          [&](const JsonView& id) { side.push_back(existing(id)); });
    });
    if (!behind_text) {
      single.fail("a template for one text must hold sequence A once, and no other");
    }
  }

  /// ["</s>", 2]
  i32 token_of_pair(const JsonView& json) const {
    i32 id = -1;
    i64 length = 0;
    json.each_element([&](const JsonView& element) {
      if (length++ == 1) {
        id = existing(element);
      }
    });
    if (length != 2) {
      json.fail("expected a piece and its id");
    }
    return id;
  }

  i32 existing(const JsonView& json) const {
    const i64 id = json.integer();
    if (id < 0 || id > INT32_MAX || parts_.vocabulary.piece(static_cast<i32>(id)) == nullptr) {
      json.fail(str("there is no token with id ", id));
    }
    return static_cast<i32>(id);
  }

  TokenizerParts& parts_;
  bool adds_already_ = false;
};

}  // namespace

void post_processor_from_json(const JsonView& root, TokenizerParts& parts) {
  if (const auto json = root.find("post_processor")) {
    PostProcessorReader(parts).read(*json);
  }
}

}  // namespace inlay
