// Garbage decks and command lines end in UserError or a deck, never in anything else.
#define BOOST_TEST_MODULE deck_fuzz
#include <boost/test/unit_test.hpp>

#include "fuzz.hpp"
#include "mtrain/config/command_line.hpp"
#include "unit/config/support.hpp"

namespace mtrain::config {

namespace {

using test::Dice;

void survives(const std::string& text, const std::string& name) {
  try {
    parse_deck({name, text}, {}, Purpose::kTrain);
  } catch (const UserError& error) {
    BOOST_TEST(!std::string(error.what()).empty());
  }
}

void survives_everywhere(const std::string& text) {
  for (const char* name : {"d.ini", "d.yaml", "d"}) survives(text, name);
}

std::string random_bytes(Dice& dice, size_t length) {
  std::string out;
  for (size_t i = 0; i < length; ++i) out += static_cast<char>(dice.below(256));
  return out;
}

/// Pieces of real decks and of YAML's and INI's grammar in random order.
std::string random_pieces(Dice& dice, size_t count) {
  static const std::vector<std::string> pieces = {
      "[",           "]",   "{",      "}",         "train",
      "seed",        "=",   ": ",     "\n",        "- ",
      "#",           "\"",  "'",      "&a",        "*a",
      "!!",          "|\n", ">\n",    "null",      "~",
      "1e999",       "-1",  "0x",     ",",         ".",
      "\t",          "  ",  "\\u00e", "\xff",      "---",
      "...",         "<<",  "%TAG",   "?",         "[train]\n",
      "stage",       "pt",  "true",   "optimizer", "lr_scheduler_kwargs",
      "warmup_steps"};
  std::string out;
  for (size_t i = 0; i < count; ++i) out += pieces[dice.below(pieces.size())];
  return out;
}

std::string repeated(const std::string& piece, size_t count) {
  std::string out;
  for (size_t i = 0; i < count; ++i) out += piece;
  return out;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(fuzz_suite)

BOOST_AUTO_TEST_CASE(random_bytes_never_crash) {
  Dice dice(1);
  for (int round = 0; round < 1000; ++round) {
    survives_everywhere(random_bytes(dice, dice.below(120)));
  }
}

BOOST_AUTO_TEST_CASE(random_grammar_never_crashes) {
  Dice dice(2);
  for (int round = 0; round < 3000; ++round) {
    survives_everywhere(random_pieces(dice, 1 + dice.below(25)));
  }
}

BOOST_AUTO_TEST_CASE(damaged_decks_never_crash) {
  const auto fuzz_as = [](const std::string& name, const std::string& deck) {
    test::fuzz({read_deck_file(cat(MTRAIN_SOURCE_DIR "/", deck)).text}, 200,
               [&](const std::string& text) {
                 parse_deck({name, text}, {}, Purpose::kTrain);
               });
  };
  // The targets that libFuzzer has, too, and files whose name does not say what they are.
  for (const char* target : {"deck_ini", "deck_yaml"}) test::fuzz(target, 1000);
  for (const char* deck :
       {"inputs/qwen3_moe_full.ini", "tests/run/examples/qwen3_full.yaml"})
    fuzz_as("d", deck);
}

BOOST_AUTO_TEST_CASE(every_key_survives_every_odd_value) {
  for (const char* value : {"", "null", "-1", "1e400", "[", "[]", "{}", "\"\"", ",",
                            "nan", "9223372036854775808", "true", "\xff", "a,b"}) {
    std::string text;
    for (const std::string& line : split(dump_deck(parse("")), '\n')) {
      const size_t equals = line.find('=');
      if (equals != std::string::npos)
        text += line.substr(0, equals) + "= " + value + "\n";
    }
    survives(text, "d.ini");
  }
}

BOOST_AUTO_TEST_CASE(deep_and_long_decks_never_crash) {
  survives_everywhere(repeated("[", 100000));
  survives_everywhere("seed: " + repeated("{a: ", 20000));
  survives_everywhere(repeated("- ", 50000));
  survives_everywhere(repeated("a", 1000000));
  survives_everywhere(repeated("a", 100000) + " = 1\n");
  survives_everywhere("lr_scheduler_kwargs = " + repeated("[", 10000) + "\n");
  survives_everywhere(repeated("seed = 1\n", 2000));
}

BOOST_AUTO_TEST_CASE(zero_bytes_are_refused) {
  CHECK_HAS(fault_in(std::string("seed = 1\0", 9)), "zero bytes");
}

BOOST_AUTO_TEST_CASE(random_command_lines_never_crash) {
  Dice dice(4);
  for (int round = 0; round < 2000; ++round) {
    std::vector<std::string> words = {"mtrain"};
    for (size_t i = dice.below(5); i > 0; --i) {
      words.push_back((dice.below(2) == 0 ? "--" : "") +
                      random_pieces(dice, dice.below(4)));
    }
    std::vector<const char*> pointers;
    for (const std::string& word : words) pointers.push_back(word.c_str());
    try {
      parse_command_line(Purpose::kTrain, static_cast<int>(pointers.size()),
                         pointers.data());
    } catch (const UserError&) {
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace mtrain::config
