// SPDX-License-Identifier: Apache-2.0
#include "data/tokenizer/decode_steps.h"

#include <algorithm>
#include <tuple>

#include "core/types.h"
#include "data/text/utf8.h"
#include "data/tokenizer/byte_tokens.h"

namespace inlay {
namespace {

constexpr std::string_view kReplacementCharacter = "\uFFFD";

/// A sink that has another behind it.
class ForwardingSink : public PieceSink {
 public:
  explicit ForwardingSink(PieceSink& next) : next_(next) {}
  void finish() override { next_.finish(); }

 protected:
  PieceSink& next_;
};

/// A step whose sinks are Sinks, each with a copy of the same settings.
template <class Sink, class... Settings>
class StepOf final : public DecodeStep {
 public:
  explicit StepOf(Settings... settings) : settings_(std::move(settings)...) {}
  std::unique_ptr<PieceSink> start(PieceSink& next) const override {
    return std::apply(
        [&](const auto&... settings) { return std::make_unique<Sink>(next, settings...); },
        settings_);
  }

 private:
  std::tuple<Settings...> settings_;
};

class ReplaceSink final : public ForwardingSink {
 public:
  ReplaceSink(PieceSink& next, const Regex& pattern, const std::string& content)
      : ForwardingSink(next), pattern_(pattern), content_(content) {}

  void push(std::string_view part, bool begins) override {
    matches_.clear();
    pattern_.find_all(part, matches_);
    std::string changed;
    i64 at = 0;
    for (const Regex::Match& match : matches_) {
      changed.append(part.substr(at, match.begin - at)).append(content_);
      at = match.end;
    }
    next_.push(changed.append(part.substr(at)), begins);
  }

 private:
  const Regex pattern_;
  const std::string content_;
  std::vector<Regex::Match> matches_;
};

class ByteFallbackSink final : public ForwardingSink {
 public:
  using ForwardingSink::ForwardingSink;

  void push(std::string_view part, bool begins) override {
    if (const auto byte = byte_of_piece(part)) {
      run_ += static_cast<char>(*byte);
      return;
    }
    end_run();
    next_.push(part, begins);
  }

  void finish() override {
    end_run();
    ForwardingSink::finish();
  }

 private:
  void end_run() {
    const bool valid = valid_utf8_length(run_) == static_cast<i64>(run_.size());
    if (valid && !run_.empty()) {
      next_.push(run_, true);
    }
    for (std::size_t i = 0; !valid && i < run_.size(); ++i) {
      next_.push(kReplacementCharacter, true);
    }
    run_.clear();
  }

  std::string run_;
};

class FuseSink final : public ForwardingSink {
 public:
  using ForwardingSink::ForwardingSink;
  void push(std::string_view part, bool) override {
    next_.push(part, is_first_);
    is_first_ = false;
  }
  void finish() override {
    is_first_ = true;
    ForwardingSink::finish();
  }

 private:
  bool is_first_ = true;
};

class StripSink final : public ForwardingSink {
 public:
  StripSink(PieceSink& next, const std::string& content, i64 start, i64 stop)
      : ForwardingSink(next), content_(content), start_(start), stop_(stop) {}

  void push(std::string_view part, bool begins) override {
    if (begins) {
      held_ = 0;  // at the end of the piece before: dropped
      to_strip_ = start_;
      begins_ = true;
    }
    while (to_strip_ > 0 && part.starts_with(content_)) {
      part.remove_prefix(content_.size());
      --to_strip_;
    }
    if (part.empty()) {
      return;
    }
    to_strip_ = 0;
    i64 trailing = 0;
    while (trailing < stop_ && part.ends_with(content_)) {
      part.remove_suffix(content_.size());
      ++trailing;
    }
    // Of what was held, and of what is held now, only the last `stop` may be dropped.
    i64 settled = part.empty() ? std::max(i64{0}, held_ + trailing - stop_) : held_;
    held_ = part.empty() ? held_ + trailing - settled : trailing;
    for (; settled > 0; --settled) {
      forward(content_);
    }
    if (!part.empty()) {
      forward(part);
    }
  }

  void finish() override {
    held_ = 0;
    to_strip_ = start_;
    ForwardingSink::finish();
  }

 private:
  void forward(std::string_view part) {
    next_.push(part, begins_);
    begins_ = false;
  }

  const std::string content_;
  const i64 start_;
  const i64 stop_;
  i64 to_strip_ = 0;
  i64 held_ = 0;  // how many contents at the end of a piece wait to be dropped
  bool begins_ = true;
};

class MetaspaceSink final : public ForwardingSink {
 public:
  MetaspaceSink(PieceSink& next, const std::string& replacement, bool dropped)
      : ForwardingSink(next), replacement_(replacement), dropped_(dropped) {}

  void push(std::string_view part, bool begins) override {
    std::string changed;
    for (std::size_t at = 0; at < part.size();) {
      const std::size_t found = std::min(part.find(replacement_, at), part.size());
      changed += part.substr(at, found - at);
      if (found < part.size() && !(dropped_ && is_first_)) {
        changed += ' ';
      }
      at = found + replacement_.size();
    }
    is_first_ = false;
    next_.push(changed, begins);
  }
  void finish() override {
    is_first_ = true;
    ForwardingSink::finish();
  }

 private:
  const std::string replacement_;
  const bool dropped_;
  bool is_first_ = true;
};

class ByteLevelSink final : public ForwardingSink {
 public:
  explicit ByteLevelSink(PieceSink& next)
      : ForwardingSink(next), state_(ByteLevelDecoder().start()) {}

  void push(std::string_view part, bool) override {
    std::string text;
    state_->push(part, text);
    forward(text);
  }
  void finish() override {
    std::string text;
    state_->finish(text);
    forward(text);
    is_first_ = true;
    ForwardingSink::finish();
  }

 private:
  void forward(std::string_view text) {
    if (!text.empty()) {
      next_.push(text, is_first_);
      is_first_ = false;
    }
  }

  std::unique_ptr<DecoderState> state_;
  bool is_first_ = true;
};

/// The end of the chain.
class TextSink final : public PieceSink {
 public:
  void push(std::string_view part, bool) override { text_ += part; }
  void finish() override {}
  void move_to(std::string& text) {
    text += text_;
    text_.clear();
  }

 private:
  std::string text_;
};

class StepDecoderState final : public DecoderState {
 public:
  explicit StepDecoderState(const std::vector<DecodeStepPtr>& steps) {
    sinks_.reserve(steps.size());
    for (std::size_t i = steps.size(); i-- > 0;) {
      sinks_.push_back(steps[i]->start(first()));
    }
  }

  void push(std::string_view piece, std::string& text) override {
    first().push(piece, true);
    end_.move_to(text);
  }
  void finish(std::string& text) override {
    first().finish();
    end_.move_to(text);
  }

 private:
  PieceSink& first() { return sinks_.empty() ? end_ : *sinks_.back(); }

  TextSink end_;
  std::vector<std::unique_ptr<PieceSink>> sinks_;  // back to front
};

}  // namespace

DecodeStepPtr replace_in_pieces(Regex pattern, std::string content) {
  return std::make_shared<StepOf<ReplaceSink, Regex, std::string>>(std::move(pattern),
                                                                   std::move(content));
}

DecodeStepPtr bytes_of_pieces() {
  return std::make_shared<StepOf<ByteFallbackSink>>();
}

DecodeStepPtr fuse_pieces() {
  return std::make_shared<StepOf<FuseSink>>();
}

DecodeStepPtr strip_pieces(std::string content, i64 start, i64 stop) {
  return std::make_shared<StepOf<StripSink, std::string, i64, i64>>(std::move(content), start,
                                                                    stop);
}

DecodeStepPtr metaspace_to_blanks(std::string replacement, bool dropped) {
  return std::make_shared<StepOf<MetaspaceSink, std::string, bool>>(std::move(replacement),
                                                                    dropped);
}

DecodeStepPtr letters_to_bytes() {
  return std::make_shared<StepOf<ByteLevelSink>>();
}

std::unique_ptr<DecoderState> StepDecoder::start() const {
  return std::make_unique<StepDecoderState>(steps_);
}

}  // namespace inlay
