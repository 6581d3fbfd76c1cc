// SPDX-License-Identifier: Apache-2.0

// Writes the sample task: sentences about orders in, a JSON record of six fields out, as
// prompt/completion rows.
//
//   inlay_make_samples <folder>
//
// The three splits share their sentence patterns and nothing else: every person, thing and seller
// belongs to one split, so a model that answers test rows has learnt to read a sentence, not its
// words. A row is a function of (split, index) alone; a test writes the files again and compares.

#include <cstdio>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/io/atomic.h"
#include "core/random.h"

namespace inlay {
namespace {

struct Words {
  std::vector<std::string> first, last, things, sellers;
};

struct Split {
  const char* file;
  i64 rows;
  Words words;
};

const std::vector<Split>& splits() {
  static const std::vector<Split> all = {
      {"train.jsonl",
       400,
       {{"Anna",   "Bruno", "Carla", "David",  "Elena",  "Felix", "Grace",
         "Henrik", "Ines",  "Jonas", "Karin",  "Luca",   "Maria", "Nils",
         "Olga",   "Pavel", "Rosa",  "Stefan", "Teresa", "Viktor"},
        {"Almeida",  "Becker",  "Carlsen", "Dubois",   "Eriksen",  "Fischer", "Garcia",
         "Hoffmann", "Ivanova", "Jensen",  "Kowalski", "Lindgren", "Moretti", "Novak",
         "Okafor",   "Petrov",  "Ramos",   "Schmidt",  "Tanaka",   "Weber"},
        {"desk lamps",     "office chairs", "printer cartridges", "water bottles", "notebooks",
         "wool blankets",  "coffee mugs",   "garden hoses",       "phone cases",   "running shoes",
         "paint brushes",  "bicycle tires", "wall clocks",        "leather belts", "cotton shirts",
         "kitchen knives", "camping tents", "school bags",        "wine glasses",  "door handles",
         "hiking socks",   "table fans",    "picture frames",     "rubber gloves", "bath towels"},
        {"Northwind Supply", "Harbor Trading", "Greenfield Goods", "Summit Retail",
         "Bluebird Store", "Oakwood Market", "Silverline Depot", "Redstone Traders",
         "Maple Street Shop", "Lakeside Wholesale", "Ironbridge Works", "Sunrise Imports",
         "Canyon Outfitters", "Westgate Stores", "Pinecrest Supply"}}},
      {"validation.jsonl",
       50,
       {{"Aisha", "Boris", "Chiara", "Dmitri", "Esther", "Frank", "Greta", "Hugo"},
        {"Andersson", "Bianchi", "Costa", "Dvorak", "Engel", "Fontaine", "Gruber", "Hansen"},
        {"steel rulers", "silk scarves", "folding tables", "board games", "ink pens",
         "fishing rods", "winter coats", "plant pots"},
        {"Eastport Trading", "Willow Lane Store", "Copperfield Supply", "Highland Goods",
         "Stonegate Market"}}},
      {"test.jsonl",
       100,
       {{"Amelie", "Bernard", "Clara", "Daniel", "Emilia", "Farid", "Gloria", "Hassan", "Irene",
         "Jakob", "Kamila", "Leon", "Mira", "Nadia", "Oscar", "Paula"},
        {"Abbasi", "Bauer", "Castro", "Delgado", "Edwards", "Ferreira", "Gonzalez", "Haas",
         "Iversen", "Johansson", "Keller", "Lopez", "Meyer", "Nielsen", "Olsen", "Peters"},
        {"glass jars", "travel pillows", "mountain bikes", "paper bags", "desk drawers",
         "metal shelves", "tea pots", "rain jackets", "garden chairs", "candle holders",
         "floor mats", "storage boxes", "hand drills", "reading glasses", "sewing kits",
         "safety helmets"},
        {"Riverside Supply", "Crescent Trading", "Evergreen Market", "Old Mill Store",
         "Seaview Goods", "Granite Wholesale", "Brookfield Imports", "Valley Road Shop"}}}};
  return all;
}

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
  const std::string& one_of(const std::vector<std::string>& words) {
    return words[below(static_cast<i64>(words.size()))];
  }

 private:
  RandomKey key_;
  u64 next_ = 0;
};

Order draw_order(const Words& words, Draws& draws) {
  Order o;
  o.person = str(draws.one_of(words.first), " ", draws.one_of(words.last));
  o.thing = draws.one_of(words.things);
  o.seller = draws.one_of(words.sellers);
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

void write_all(const std::string& folder) {
  for (const Split& split : splits()) {
    std::string text;
    for (i64 i = 0; i < split.rows; ++i) {
      text += row(split, i);
    }
    write_file(folder + "/" + split.file, text);
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
