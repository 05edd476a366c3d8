// Owns the damage and the loop of the fuzz tests.
#include "fuzz.hpp"

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cstdlib>

#include "mtrain/base/error.hpp"
#include "mtrain/base/timer.hpp"

namespace mtrain::test {
namespace {

constexpr double kMostSeconds = 20;

const char* const kNumbers[] = {"-1",
                                "0",
                                "4294967295",
                                "2147483648",
                                "9223372036854775807",
                                "9223372036854775808",
                                "18446744073709551616",
                                "1e308",
                                "1e999",
                                "-0.0",
                                "NaN",
                                "00"};
const char* const kPieces[] = {"\"",   "{",    "}",       "[",    "]",          ",",
                               ":",    "\\",   "\\ud800", "null", "true",       "\n",
                               "\r",   "\xff", "\xc3",    "[[[[", "{\"\":",     "=",
                               "\t- ", "#",    "%",       "..",   "/etc/passwd"};

char byte(Dice& dice) {
  return static_cast<char>(dice.below(256));
}

/// A stretch of `text`, most often a short one.
std::pair<size_t, size_t> stretch(const std::string& text, Dice& dice) {
  const size_t begin = dice.below(text.size());
  const size_t most = dice.below(10) == 0 ? text.size() : size_t{6};
  return {begin, std::min(1 + dice.below(most), text.size() - begin)};
}

/// Replaces a number in the text, where there is one behind a random place.
void spoil_number(std::string& text, Dice& dice) {
  const char* const digits = "0123456789";
  const size_t begin = text.find_first_of(digits, dice.below(text.size()));
  if (begin == text.npos) return;
  const size_t end = std::min(text.find_first_not_of(digits, begin), text.size());
  text.replace(begin, end - begin, kNumbers[dice.below(std::size(kNumbers))]);
}

void change(std::string& text, const std::vector<std::string>& others, Dice& dice) {
  if (text.empty()) text = "x";
  const auto [begin, length] = stretch(text, dice);
  switch (dice.below(9)) {
    case 0:
      text[begin] = static_cast<char>(text[begin] ^ (1 << dice.below(8)));
      break;
    case 1:
      text[begin] = byte(dice);
      break;
    case 2:
      text.insert(begin, 1 + dice.below(8), byte(dice));
      break;
    case 3:
      text.erase(begin, length);
      break;
    case 4:
      text.insert(dice.below(text.size()), text.substr(begin, length));
      break;
    case 5:
      text.resize(begin);
      break;
    case 6:
      spoil_number(text, dice);
      break;
    case 7:
      text.insert(begin, kPieces[dice.below(std::size(kPieces))]);
      break;
    default:
      const std::string& other = others[dice.below(others.size())];
      if (other.empty()) break;
      const auto [from, count] = stretch(other, dice);
      text.replace(begin, length, other.substr(from, count));
  }
}

void check_memory(int64_t peak, size_t size, int round) {
  const int64_t most = kMemoryBase + kMemoryFactor * static_cast<int64_t>(size);
  BOOST_TEST(peak <= most, "round " << round << ": " << peak << " bytes of memory for "
                                    << size << " of input");
}

}  // namespace

std::string damaged(const std::string& text, const std::vector<std::string>& others,
                    Dice& dice) {
  std::string result = text;
  for (size_t left = 1 + dice.below(4) / 3 * dice.below(4); left > 0; --left)
    change(result, others, dice);
  return result;
}

void fuzz(const std::vector<std::string>& texts, int rounds,
          const std::function<void(const std::string& bytes)>& parse) {
  if (const char* more = std::getenv("MTRAIN_FUZZ_ROUNDS")) rounds = std::atoi(more);
  for (const std::string& text : texts) parse(text);
  int refused = 0;
  for (int round = 0; round < rounds; ++round) {
    Dice dice(static_cast<uint64_t>(round));
    const std::string bytes = damaged(texts[dice.below(texts.size())], texts, dice);
    const Stopwatch clock;
    MemoryMeter::restart();
    try {
      parse(bytes);
    } catch (const UserError& error) {
      BOOST_TEST(!std::string(error.what()).empty());
      ++refused;
    } catch (const std::exception& error) {
      BOOST_ERROR("round " << round << ": no UserError but: " << error.what());
    }
    BOOST_TEST(clock.seconds() < kMostSeconds, "round " << round << " took long");
    check_memory(MemoryMeter::peak(), bytes.size(), round);
  }
  BOOST_TEST_MESSAGE(refused << " of " << rounds << " refused");
  BOOST_TEST(refused > 0);
}

void fuzz(const std::string& target, int rounds) {
  for (const Target& each : all_targets())
    if (each.name == target) return fuzz(each.seeds, rounds, each.use);
  BOOST_FAIL("no target " << target);
}

}  // namespace mtrain::test
