// Flags, overrides and the help text.
#include "mtrain/config/command_line.hpp"

#include "key_table.hpp"
#include "support.hpp"

namespace mtrain::config {

namespace {

CommandLine command_line(std::vector<const char*> words,
                         Purpose program = Purpose::kTrain) {
  words.insert(words.begin(), "mtrain");
  return parse_command_line(program, static_cast<int>(words.size()), words.data());
}

std::string command_fault(const std::vector<const char*>& words,
                          Purpose program = Purpose::kTrain) {
  return fault_of([&] { command_line(words, program); });
}

}  // namespace

BOOST_AUTO_TEST_SUITE(command_line_suite)

BOOST_AUTO_TEST_CASE(deck_overrides_and_flags_mix) {
  const CommandLine line = command_line(
      {"seed=1", "run.ini", "--check", "--world-size", "8", "max_steps=-1", "a.b=c d"});
  BOOST_TEST(line.deck == "run.ini");
  BOOST_TEST(line.check);
  BOOST_TEST(line.world_size.value() == 8);
  BOOST_TEST(line.overrides == (Overrides{"seed=1", "max_steps=-1", "a.b=c d"}),
             boost::test_tools::per_element());
  BOOST_TEST(command_line({"d", "--check", "--world-size=4"}).world_size.value() == 4);
}

BOOST_AUTO_TEST_CASE(a_check_reads_a_sample_or_all) {
  BOOST_TEST(!command_line({"--check", "d"}).check_all);
  CHECK_HAS(command_fault({"d", "--check="}), "--check");
  CHECK_HAS(command_fault({"d", "--check=full"}, Purpose::kPrepare), "unknown");
  BOOST_TEST(command_line({"--check", "d"}).deck == "d");
  BOOST_TEST(command_line({"--check=full", "d"}).check_all);
  BOOST_TEST(command_line({"d", "--check=full"}).check);
  BOOST_TEST(command_line({"d", "--check", "--allow-oom"}).allow_oom);
}

BOOST_AUTO_TEST_CASE(a_line_can_be_typed_again) {
  const auto line = command_line(
      {"my deck.ini", "a=1", "b=it's", "--check", "--gpu", "x y", "--gpu-table", "t"});
  BOOST_TEST(join(without_flags("mtrain", line), " ") ==
             R"(mtrain 'my deck.ini' a=1 'b=it'\''s')");
  BOOST_TEST(gpu_flags(line) == " --gpu 'x y' --gpu-table t");
}

BOOST_AUTO_TEST_CASE(some_flags_need_no_deck) {
  BOOST_TEST(command_line({"--help"}).help);
  BOOST_TEST(command_line({"--version"}).version);
  BOOST_TEST(command_line({"--dump-reference"}).dump_reference);
  BOOST_TEST(command_line({"d", "--dump-deck"}).dump_deck);
  CHECK_HAS(command_fault({}), "no deck");
  CHECK_HAS(command_fault({"--check"}), "no deck");
}

BOOST_AUTO_TEST_CASE(each_program_has_its_flags) {
  BOOST_TEST(command_line({"d", "--show", "3"}, Purpose::kPrepare).show.value() == 3);
  CHECK_HAS(command_fault({"d", "--show", "3"}), "--show is unknown");
  CHECK_HAS(command_fault({"d", "--check"}, Purpose::kPrepare), "--check is unknown");
  CHECK_HAS(command_fault({"d", "--dump-deck"}, Purpose::kPrepare), "--dump-deck");
}

BOOST_AUTO_TEST_CASE(unknown_flags_get_hints) {
  const std::string fault = command_fault({"d", "--chekc", "--dump_deck", "-x"});
  CHECK_HAS(fault, "--chekc is unknown", "did you mean --check?",
            "did you mean --dump-deck?", "-x is unknown");
  CHECK_HAS(command_fault({"d", "--chec"}), "--chec is unknown");
  CHECK_HAS(command_fault({"d", "--learning_rate=1"}), "keys are given as key=value");
}

BOOST_AUTO_TEST_CASE(numbers_after_flags_are_strict) {
  CHECK_HAS(command_fault({"d", "--check", "--world-size", "many"}), "--world-size many",
            "whole number");
  CHECK_HAS(command_fault({"d", "--check", "--world-size", "0"}), ">= 1");
  CHECK_HAS(command_fault({"d", "--check", "--world-size"}), "world-size");
  CHECK_HAS(command_fault({"d", "--check=1"}), "--check=1 is unknown", "--check=full");
  CHECK_HAS(command_fault({"d", "--allow-oom"}), "--allow-oom is for --check only");
  for (const auto& words : {std::vector<const char*>{"d", "--show", "-1"},
                            std::vector<const char*>{"d", "--show=-1"}})
    CHECK_HAS(command_fault(words, Purpose::kPrepare), "--show -1", ">= 0");
  CHECK_HAS(command_fault({"d", "--world-size", "2"}), "for --check only", "mpirun -np");
}

BOOST_AUTO_TEST_CASE(there_is_one_deck) {
  CHECK_HAS(command_fault({"a.ini", "b.ini"}), "second deck", "b.ini", "a.ini");
}

BOOST_AUTO_TEST_CASE(help_lists_every_key_in_a_narrow_page) {
  const std::string help = help_text(Purpose::kTrain, "");
  for (const Key& key : all_keys()) CHECK_HAS(help, "\n  " + key.name);
  for (const SectionInfo& section : all_sections())
    CHECK_HAS(help, "\n[" + section.name + "]");
  CHECK_HAS(help, "--check", "--world-size N", "--dump-deck", "mpirun -np N");
  BOOST_TEST(!has(help, "--dump-reference"));
  for (const std::string& line : split(help, '\n')) {
    BOOST_TEST(line.size() <= 98u, line);
    BOOST_TEST(
        trim(line).size() == line.size() - line.find_first_not_of(' ') * !line.empty(),
        "trailing blanks: " << line);
  }
}

BOOST_AUTO_TEST_CASE(help_shows_type_default_and_meaning) {
  const std::string help = help_text(Purpose::kTrain, "");
  CHECK_HAS(help, "learning_rate ", "5e-05", "float", "(>=0)", "(pt, sft, dpo)");
}

BOOST_AUTO_TEST_CASE(help_of_mprep_has_the_keys_it_reads) {
  const std::string help = help_text(Purpose::kPrepare, "");
  CHECK_HAS(help, "--show N", "mprep", "[data]", "\n  cutoff_len ", "\n  stage ");
  BOOST_TEST(!has(help, "learning_rate"));
  BOOST_TEST(!has(help, "[parallel]\n"));
}

BOOST_AUTO_TEST_CASE(help_tells_of_one_key_or_section) {
  BOOST_TEST(command_line({"-h"}).help);
  BOOST_TEST(command_line({"--help", "seed"}).topic == "seed");
  CHECK_HAS(help_text(Purpose::kTrain, "learning_rate"),
            "[optimizer] learning_rate = 5e-05", "float (0<=x<=1e+30): ");
  const std::string section = help_text(Purpose::kTrain, "moe");
  CHECK_HAS(section, "[moe]", "moe_aux_loss_coeff");
  BOOST_TEST(!has(section, "learning_rate"));
  BOOST_CHECK_EXCEPTION(help_text(Purpose::kTrain, "learning_rat"), UserError,
                        [](const UserError& fault) {
                          return has(fault.remedy(), "did you mean learning_rate?");
                        });
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace mtrain::config
