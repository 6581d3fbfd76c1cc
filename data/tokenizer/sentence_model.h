// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/types.h"

/// SentencePiece's own files, `tokenizer.model`: a ModelProto of sentencepiece_model.proto in
/// Protocol Buffers' wire format (protobuf.dev/programming-guides/encoding). What is needed of it is
/// a list of pieces and a dozen settings, which are read here; the SentencePiece library would not
/// hand out the settings, and Transformers does not encode with it either.
namespace inlay {

enum class SentencePieceType {
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,
  kUserDefined = 4,
  kUnused = 5,
  kByte = 6
};

struct SentencePiece {
  std::string text;
  float score = 0.0F;
  SentencePieceType type = SentencePieceType::kNormal;
};

/// The defaults are those of the format.
struct SentenceModel {
  enum class Algorithm { kUnigram = 1, kBpe = 2 };

  std::vector<SentencePiece> pieces;  // by id
  Algorithm algorithm = Algorithm::kUnigram;
  bool byte_fallback = false;
  i64 unk_id = 0;  // -1: there is none
  i64 bos_id = 1;
  i64 eos_id = 2;
  std::string unk_piece = "<unk>";
  std::string bos_piece = "<s>";
  std::string eos_piece = "</s>";
  std::string charsmap;  // see charsmap.h; may be ""
  bool add_dummy_prefix = true;
  bool remove_extra_whitespaces = true;
  bool escape_whitespaces = true;
};

/// Throws DataError, which names `file`, when `bytes` are no such model, or one that is neither
/// Unigram nor BPE or has its blanks behind the words.
SentenceModel parse_sentence_model(std::string_view bytes, const std::string& file);

}  // namespace inlay
