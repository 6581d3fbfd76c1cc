// SPDX-License-Identifier: Apache-2.0

// Writes the sample task: sentences about orders in, a JSON record of six fields out, as
// prompt/completion rows.
//
//   inlay_make_samples <folder>
//
// The three splits share their sentence patterns and the words for a seller's trade: every name,
// kind, noun and place belongs to one split, so a model that answers test rows has learnt to read a
// sentence, not its words. Most words of the test split were chosen because a byte-level BPE has
// one token for them both behind a space and behind a quote: copying a word that is cut up
// differently inside quotes is a task of spelling, and a much harder one for a small model. A row
// is a function of (split, index) alone; a test writes the files again and compares.

#include <algorithm>
#include <cstdio>
#include <string>
#include <string_view>

#include "core/error.h"
#include "core/io/atomic.h"
#include "core/random.h"

namespace inlay {
namespace {

// Lists of words, parted by spaces. A thing is a kind and a noun ("steel kettles"), a seller a
// place and a trade ("Harbor Trading").
struct Words {
  const char* first;
  const char* last;
  const char* kinds;
  const char* nouns;
  const char* places;
  const char* trades;
};

struct Split {
  const char* file;
  i64 rows;
  Words words;
};

constexpr Split kSplits[] = {
    {"train.jsonl",
     400,
     {"Anna Bruno Carla David Elena Felix Grace Henrik Ines Jonas Karin Luca Nils Olga "
      "Pavel Rosa Stefan Teresa Viktor Yusuf Zoe Adrian Beatriz Cedric Dana Emil Fatima "
      "Georg Hana Igor Julia Klaus Lena Marco Nora Otto Petra Ruth Samir Vera Walter Yara "
      "Adam Alex Alice Andrew Christian Edward Frank Greg Henry Jack James Jane Jeff John "
      "Mark Mary Michael Paul Robert Samuel Stephen William",
      "Almeida Becker Carlsen Dubois Eriksen Fischer Garcia Hoffmann Ivanova Jensen "
      "Kowalski Lindgren Moretti Novak Okafor Petrov Ramos Schmidt Tanaka Weber Brandt "
      "Conti Duarte Falk Holm Ibrahim Klein Laurent Navarro Ortega Pereira Rossi Silva "
      "Torres Vogel Wagner Zeller Adams Anderson Bell Brown Clark Cook Cross Davis Day "
      "Fields Grant Hill Jackson Johnson Jones King Lee Lewis Marsh Martin Miller Smith "
      "Taylor Wilson Young",
      "wooden steel cotton leather copper linen folding striped painted soft narrow cheap "
      "waterproof rubber velvet bamboo basic big black blue bright clean classic cold dark "
      "dry electric fast flat glass gold green hard heavy iron large light little long "
      "manual metal modern new old orange paper plastic purple red round short simple "
      "single small",
      "lamps bottles notebooks blankets mugs hoses shoes tires clocks knives tents gloves "
      "towels plates curtains pillows buckets ladders hammers cables baskets candles "
      "kettles ropes mirrors bags belts boards books boxes brushes cans cards cases chairs "
      "doors filters frames games holders keys tables tools windows",
      "Northwind Harbor Greenfield Summit Bluebird Oakwood Redstone Maple Lakeside "
      "Ironbridge Sunrise Canyon Westgate Pinecrest Amber Birchwood Clearwater Foxhill "
      "Hilltop Kingsway Longfield Moonlight Orchard Parkside Rosewood Sandstone Whitecliff "
      "Ashford Bayview Cedar Eagle Keystone Lighthouse Meadow Prairie Raven April Bay "
      "Central City Cloud Earth Energy Fire First Global Honey Iron Moon National Northern "
      "Park Power Prime Rain Red Rock Rose Royal Sky Smart Snow Spring Star Sugar Sun Union "
      "Urban Water Western Wind",
      "Supply Trading Goods Retail Store Market Depot Traders Shop Wholesale Works Imports "
      "Outfitters Stores"}},
    {"validation.jsonl",
     50,
     {"Ann Boris Dmitri Greta Hugo Jean Louis", "Costa Engel Gruber Hansen Lake Love Ray Rice",
      "silk oval gray pink weak open", "seeds sheets shirts rods pens stools",
      "Eastport Willow Highland Stonegate Gold Salt Copper", "Trading Store Supply Goods Market"}},
    {"test.jsonl",
     100,
     {"Alexander Ben Daniel Emily George Jacob Leon Maria Marie Peter Sarah Thomas Clara "
      "Oscar Paula Nadia",
      "Collins Ross Williams Stone White Wood Rose Scott Field Bauer Keller Meyer Olsen "
      "Peters Lopez",
      "brown digital grey mobile quiet smooth solar special square stone strong thick thin "
      "tiny warm white wine wide wet yellow",
      "balls kits labels lights phones plants pots screens bikes jars trays drawers",
      "Alpha Atlantic Delta Eastern Forest Golden Ocean Pacific River Silver Southern "
      "Summer Winter Black Riverside Valley",
      "Supply Trading Market Store Goods Wholesale Imports Shop"}}};

struct Order {
  std::string person, thing, seller;
  i64 count, year, month, day, cents;
};

constexpr const char* kMonths[] = {"January",   "February", "March",    "April",
                                   "May",       "June",     "July",     "August",
                                   "September", "October",  "November", "December"};

std::string padded(i64 value, int digits) {
  std::string text = std::to_string(value);
  return std::string(std::max<i64>(0, digits - static_cast<i64>(text.size())), '0') + text;
}

std::string price(const Order& o) {
  return str(o.cents / 100, ".", padded(o.cents % 100, 2));
}

std::string iso_date(const Order& o) {
  return str(o.year, "-", padded(o.month, 2), "-", padded(o.day, 2));
}

// "14 March 2024" or "March 14, 2024"
std::string spoken_date(const Order& o, bool day_first) {
  const char* month = kMonths[o.month - 1];
  return day_first ? str(o.day, " ", month, " ", o.year) : str(month, " ", o.day, ", ", o.year);
}

class Draws {
 public:
  explicit Draws(RandomKey key) : key_(key) {}
  i64 below(i64 bound) {
    return static_cast<i64>(random_below(key_, next_++, static_cast<u64>(bound)));
  }
  std::string one_of(std::string_view words) {
    i64 which = below(1 + std::ranges::count(words, ' '));
    while (which-- > 0) {
      words.remove_prefix(words.find(' ') + 1);
    }
    return std::string(words.substr(0, words.find(' ')));
  }

 private:
  RandomKey key_;
  u64 next_ = 0;
};

Order draw_order(const Words& words, Draws& draws) {
  Order o;
  const auto pair = [&](const char* first, const char* second) {
    const std::string one = draws.one_of(first);
    return str(one, " ", draws.one_of(second));
  };
  o.person = pair(words.first, words.last);
  o.thing = pair(words.kinds, words.nouns);
  o.seller = pair(words.places, words.trades);
  o.count = 2 + draws.below(88);
  o.year = 2021 + draws.below(5);
  o.month = 1 + draws.below(12);
  o.day = 1 + draws.below(28);
  o.cents = 150 + draws.below(99) * 100 + draws.below(20) * 5;
  return o;
}

std::string sentence(const Order& o, Draws& draws) {
  const std::string date = spoken_date(o, draws.below(2) == 0);
  const std::string each = "$" + price(o);
  switch (draws.below(10)) {
    case 0:
      return str("On ", date, ", ", o.person, " ordered ", o.count, " ", o.thing, " from ",
                 o.seller, " at ", each, " each.");
    case 1:
      return str(o.person, " bought ", o.count, " ", o.thing, " from ", o.seller, " on ", date,
                 ", paying ", each, " apiece.");
    case 2:
      return str(o.seller, " received an order from ", o.person, " on ", date, " for ", o.count,
                 " ", o.thing, " priced at ", each, " each.");
    case 3:
      return str("An order of ", o.count, " ", o.thing, " at ", each, " per unit was placed with ",
                 o.seller, " by ", o.person, " on ", date, ".");
    case 4:
      return str("For ", each, " each, ", o.person, " got ", o.count, " ", o.thing, " from ",
                 o.seller, "; the order is dated ", date, ".");
    case 5:
      return str(o.count, " ", o.thing, " were sold by ", o.seller, " to ", o.person, " on ", date,
                 " for ", each, " each.");
    case 6:
      return str("The invoice dated ", date, " shows that ", o.seller, " charged ", o.person, " ",
                 each, " per piece for ", o.count, " ", o.thing, ".");
    case 7:
      return str("Please note: ", o.person, " wants ", o.count, " ", o.thing, " from ", o.seller,
                 " for ", each, " each, ordered on ", date, ".");
    case 8:
      return str(o.seller, " shipped ", o.count, " ", o.thing, " to ", o.person,
                 ", who had ordered them on ", date, " at ", each, " each.");
    default:
      return str("At ", each, " a piece, ", o.count, " ", o.thing, " went to ", o.person,
                 ", who ordered from ", o.seller, " on ", date, ".");
  }
}

std::string record(const Order& o) {
  return str(R"({"customer": ")", o.person, R"(", "item": ")", o.thing, R"(", "quantity": )",
             o.count, R"(, "unit_price": )", price(o), R"(, "seller": ")", o.seller,
             R"(", "date": ")", iso_date(o), R"("})");
}

// The texts hold no character that JSON escapes but the quotes of the record.
std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    out += c == '\n' ? std::string("\\n") : c == '"' ? std::string("\\\"") : std::string(1, c);
  }
  return out + "\"";
}

std::string row(const Split& split, i64 index) {
  Draws draws(RandomKey(2024).with(split.file).with(static_cast<u64>(index)));
  const Order o = draw_order(split.words, draws);
  const std::string prompt = str("Order: ", sentence(o, draws), "\nRecord:");
  return str(R"({"prompt": )", quoted(prompt), R"(, "completion": )", quoted(" " + record(o)),
             "}\n");
}

// Orders one after the other: a text longer than some small models are made for.
std::string long_row(const Split& split, i64 index) {
  constexpr std::size_t kBytes = 260;
  Draws draws(RandomKey(2024).with(split.file).with("long").with(static_cast<u64>(index)));
  std::string text;
  while (text.size() < kBytes) {
    text += text.empty() ? "" : " ";
    text += sentence(draw_order(split.words, draws), draws);
  }
  return str(R"({"text": )", quoted(text), "}\n");
}

void write_all(const std::string& folder) {
  for (const Split& split : kSplits) {
    std::string text;
    for (i64 i = 0; i < split.rows; ++i) {
      text += row(split, i);
    }
    write_file(folder + "/" + split.file, text);
  }
  for (const Split& split : {kSplits[0], kSplits[1]}) {
    std::string text;
    for (i64 i = 0; i < split.rows; ++i) {
      text += long_row(split, i);
    }
    write_file(str(folder, "/long-", split.file), text);
  }
}

}  // namespace
}  // namespace inlay

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: inlay_make_samples <folder>\n");
    return 2;
  }
  try {
    inlay::write_all(argv[1]);
  } catch (const inlay::Error& e) {
    std::fprintf(stderr, "inlay_make_samples: %s\n", e.what());
    return static_cast<int>(e.exit_code());
  }
  return 0;
}
