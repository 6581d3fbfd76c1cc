// SPDX-License-Identifier: Apache-2.0
#include "data/tokenizer/sentence_model.h"

#include <bit>
#include <cstring>

#include "core/error.h"
#include "data/text/utf8.h"

namespace inlay {
namespace {

/// A field of a message: its number, and its value in one of two forms.
struct Field {
  u32 number = 0;
  u64 integer = 0;         // of the types varint, 64-bit and 32-bit
  std::string_view bytes;  // of the type length-delimited
};

/// The fields of a message, front to back.
class Message {
 public:
  explicit Message(std::string_view bytes) : rest_(bytes) {}

  /// Nothing at the end. Throws DataError where the bytes are no message.
  std::optional<Field> next() {
    if (rest_.empty()) {
      return std::nullopt;
    }
    const u64 tag = varint();
    Field field;
    field.number = static_cast<u32>(tag >> 3);
    switch (tag & 7) {
      case 0:
        field.integer = varint();
        break;
      case 1:
        field.integer = fixed(8);
        break;
      case 2:
        field.bytes = take(varint());
        break;
      case 5:
        field.integer = fixed(4);
        break;
      default:
        throw DataError(str("has a field of type ", tag & 7));
    }
    return field;
  }

 private:
  std::string_view take(u64 count) {
    if (count > rest_.size()) {
      throw DataError("ends within a field");
    }
    const std::string_view bytes = rest_.substr(0, count);
    rest_.remove_prefix(count);
    return bytes;
  }
  /// Seven bits a byte, the lowest first.
  u64 varint() {
    u64 value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      const u8 byte = static_cast<u8>(take(1)[0]);
      value |= static_cast<u64>(byte & 0x7F) << shift;
      if (byte < 0x80) {
        return value;
      }
    }
    throw DataError("has a number of more than 64 bits");
  }
  u64 fixed(u64 count) {
    u64 value = 0;
    int shift = 0;
    for (const char byte : take(count)) {
      value |= static_cast<u64>(static_cast<u8>(byte)) << shift;
      shift += 8;
    }
    return value;
  }

  std::string_view rest_;
};

template <class Visit>
void each_field(std::string_view message, const Visit& visit) {
  Message fields(message);
  while (const auto field = fields.next()) {
    visit(*field);
  }
}

/// An int32, of which a negative one is written with the 64 bits of an int64.
i64 signed_of(const Field& field) {
  return static_cast<i32>(static_cast<u32>(field.integer));
}

SentencePiece piece_of(std::string_view message) {
  SentencePiece piece;
  each_field(message, [&](const Field& field) {
    if (field.number == 1) {
      piece.text = field.bytes;
    } else if (field.number == 2) {
      piece.score = std::bit_cast<float>(static_cast<u32>(field.integer));
    } else if (field.number == 3) {
      if (field.integer < 1 || field.integer > 6) {
        throw DataError(
            str("\"", printable(piece.text), "\" is of the unknown type ", field.integer));
      }
      piece.type = static_cast<SentencePieceType>(field.integer);
    }
  });
  check_utf8(piece.text, "the piece");
  if (piece.text.empty()) {
    throw DataError("the piece is empty");
  }
  if (!(piece.score == piece.score)) {
    throw DataError(str("the score of \"", printable(piece.text), "\" is not a number"));
  }
  return piece;
}

void read_trainer_spec(std::string_view message, SentenceModel& model) {
  each_field(message, [&](const Field& field) {
    switch (field.number) {
      case 3:
        if (field.integer != 1 && field.integer != 2) {
          throw DataError(
              str("model_type is ", field.integer, "; supported are 1 (unigram) and 2 (bpe)"));
        }
        model.algorithm = static_cast<SentenceModel::Algorithm>(field.integer);
        break;
      case 24:
        if (field.integer != 0) {
          throw DataError("treat_whitespace_as_suffix is true, which is not supported");
        }
        break;
      case 35:
        model.byte_fallback = field.integer != 0;
        break;
      case 40:
        model.unk_id = signed_of(field);
        break;
      case 41:
        model.bos_id = signed_of(field);
        break;
      case 42:
        model.eos_id = signed_of(field);
        break;
      case 45:
        model.unk_piece = field.bytes;
        break;
      case 46:
        model.bos_piece = field.bytes;
        break;
      case 47:
        model.eos_piece = field.bytes;
        break;
      default:
        break;
    }
  });
}

void read_normalizer_spec(std::string_view message, SentenceModel& model) {
  each_field(message, [&](const Field& field) {
    if (field.number == 2) {
      model.charsmap = field.bytes;
    } else if (field.number == 3) {
      model.add_dummy_prefix = field.integer != 0;
    } else if (field.number == 4) {
      model.remove_extra_whitespaces = field.integer != 0;
    } else if (field.number == 5) {
      model.escape_whitespaces = field.integer != 0;
    }
  });
}

}  // namespace

SentenceModel parse_sentence_model(std::string_view bytes, const std::string& file) {
  SentenceModel model;
  try {
    each_field(bytes, [&](const Field& field) {
      if (field.number == 1) {
        try {
          model.pieces.push_back(piece_of(field.bytes));
        } catch (const DataError& error) {
          throw DataError(str("piece ", model.pieces.size(), ": ", error.what()));
        }
      } else if (field.number == 2) {
        read_trainer_spec(field.bytes, model);
      } else if (field.number == 3) {
        read_normalizer_spec(field.bytes, model);
      }
    });
    if (model.pieces.empty()) {
      throw DataError("has no pieces");
    }
    if (model.unk_id >= static_cast<i64>(model.pieces.size())) {
      throw DataError(str("unk_id is ", model.unk_id, ", of ", model.pieces.size(), " pieces"));
    }
  } catch (const DataError& error) {
    throw DataError(str(file, ": no SentencePiece model that can be read: ", error.what()));
  }
  return model;
}

}  // namespace inlay
