// Short ways to parse a deck and to look at what it complains about.
#pragma once

#include <boost/test/unit_test.hpp>
#include <string>
#include <vector>

#include "mtrain/base/error.hpp"
#include "mtrain/config/parse.hpp"

namespace mtrain::config {

using Overrides = std::vector<std::string>;

/// What every training deck needs, on the command line so that line numbers stay those of
/// the text under test.
inline Overrides needed() {
  return {"model_name_or_path=m", "tokenized_path=t.h5", "output_dir=o"};
}

inline ParsedDeck parse(const std::string& text, Overrides more = {},
                        const std::string& name = "run.ini") {
  Overrides overrides = needed();
  overrides.insert(overrides.end(), more.begin(), more.end());
  return parse_deck({name, text}, overrides, Purpose::kTrain);
}

inline ParsedDeck parse_yaml(const std::string& text, Overrides more = {}) {
  return parse(text, std::move(more), "run.yaml");
}

/// The text of the UserError `action` throws; fails the test when it throws none.
template <class Action>
std::string fault_of(const Action& action) {
  try {
    action();
  } catch (const UserError& error) {
    BOOST_TEST(!error.remedy().empty());
    return error.what();
  }
  BOOST_ERROR("no UserError");
  return {};
}

inline std::string fault_in(const std::string& text, const Overrides& more = {},
                            const std::string& name = "run.ini") {
  return fault_of([&] { parse(text, more, name); });
}

inline bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

/// Whether one of the warnings holds all parts.
inline bool warns(const ParsedDeck& parsed, const std::vector<std::string>& parts) {
  for (const std::string& warning : parsed.warnings) {
    bool all = true;
    for (const std::string& part : parts) all = all && has(warning, part);
    if (all) return true;
  }
  return false;
}

}  // namespace mtrain::config

/// All parts are in the text.
#define CHECK_HAS(text, ...)                                            \
  for (const std::string& part : std::vector<std::string>{__VA_ARGS__}) \
  BOOST_TEST(::mtrain::config::has(text, part), "no \"" << part << "\" in: " << (text))
