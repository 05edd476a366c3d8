// mconvert: moves weights between checkpoints and Hugging Face folders, and looks into
// both.
#include <algorithm>
#include <boost/program_options.hpp>
#include <cstdio>

#include "launcher.hpp"
#include "mtrain/base/error.hpp"
#include "mtrain/base/log.hpp"
#include "mtrain/base/stop_request.hpp"
#include "mtrain/train/convert.hpp"
#include "program.hpp"

namespace {

using namespace mtrain;
namespace po = boost::program_options;

constexpr char kUsage[] =
    "mconvert - checkpoints of mtrain and Hugging Face folders\n\n"
    "  mconvert to-hf CHECKPOINT HF_DIR      write config.json, *.safetensors, "
    "tokenizer\n"
    "  mconvert from-hf HF_DIR CHECKPOINT    make a checkpoint that training can start "
    "from\n"
    "  mconvert inspect DIR                  list tensors, shapes, sizes, step, layout\n"
    "  mconvert verify CHECKPOINT            read every byte, compare checksums\n"
    "  mconvert diff A B                     largest difference of each tensor\n\n"
    "CHECKPOINT is a checkpoint-STEP folder, or a folder of them (the newest is taken).\n"
    "Under mpirun the work is split over the ranks.\n\n";

struct Arguments {
  std::string command;
  std::vector<std::string> folders;
  train::ConvertFlags flags;
  bool has_to_hf_flags = false;
  bool help = false, version = false;
};

po::options_description flag_descriptions(Arguments& out) {
  po::options_description flags("Flags");
  flags.add_options()("help", po::bool_switch(&out.help), "print this text")(
      "version", po::bool_switch(&out.version), "print the version")(
      "dtype", po::value(&out.flags.dtype)->default_value("auto"),
      "to-hf: float32, bfloat16, or auto for the dtype of the training run")(
      "max-shard-size", po::value(&out.flags.max_shard_size)->default_value("5GB"),
      "to-hf: largest safetensors file, such as 500MB or 5GB");
  return flags;
}

Arguments parse(int argc, char** argv) {
  Arguments out;
  std::vector<std::string> words;
  po::options_description all = flag_descriptions(out);
  all.add_options()("words", po::value(&words));
  po::positional_options_description positional;
  positional.add("words", -1);
  const int style = po::command_line_style::unix_style &
                    ~po::command_line_style::allow_guessing &
                    ~po::command_line_style::allow_short;
  try {
    po::variables_map map;
    po::store(po::command_line_parser(argc, argv)
                  .options(all)
                  .positional(positional)
                  .style(style)
                  .run(),
              map);
    po::notify(map);
    out.has_to_hf_flags = !map["dtype"].defaulted() || !map["max-shard-size"].defaulted();
  } catch (const po::error& error) {
    throw UserError(cat("mconvert: ", error.what()), "see mconvert --help");
  }
  if (!words.empty()) {
    out.command = words.front();
    out.folders.assign(words.begin() + 1, words.end());
  }
  return out;
}

void require_folders(const Arguments& arguments, size_t count) {
  if (arguments.folders.size() == count) return;
  throw UserError(cat("mconvert ", arguments.command, " takes ", count, " folder",
                      count == 1 ? "" : "s", ", not ", arguments.folders.size()),
                  "see mconvert --help");
}

void execute(const Arguments& a, const comm::Session& session) {
  const std::vector<std::string> known = {"to-hf", "from-hf", "inspect", "verify",
                                          "diff"};
  if (std::find(known.begin(), known.end(), a.command) == known.end()) {
    const std::string hint = nearest(a.command, known);
    throw UserError(cat("mconvert: unknown command \"", a.command, "\"",
                        hint.empty() ? "" : cat("; did you mean ", hint, "?")),
                    "see mconvert --help");
  }
  require_folders(a, a.command == "inspect" || a.command == "verify" ? 1 : 2);
  if (a.has_to_hf_flags && a.command != "to-hf") {
    throw UserError(
        cat("mconvert ", a.command, ": --dtype and --max-shard-size are for to-hf only"),
        "remove them");
  }
  const bool writes = a.command == "to-hf" || a.command == "from-hf";
  if (writes) session.agree([&] { tools::require_connected_ranks(session); });
  session.agree(throw_if_stop_requested);
  if (!writes) stop_listening();
  if (a.command == "to-hf")
    return train::to_hf(a.folders[0], a.folders[1], a.flags, session);
  if (a.command == "from-hf") return train::from_hf(a.folders[0], a.folders[1], session);
  if (a.command == "verify") return train::verify(a.folders[0], session);
  if (a.command == "diff")
    return log::info(train::diff(a.folders[0], a.folders[1], session));
  std::string text;
  session.agree([&] {
    if (session.rank() == 0) text = train::inspect(a.folders[0]);
  });
  log::info(text);
}

ExitCode run(const tools::Frame& frame, int argc, char** argv) {
  const comm::Session& session = frame.session;
  Arguments arguments;
  session.agree([&] { arguments = parse(argc, argv); });
  if (arguments.version) {
    log::info("mconvert " MTRAIN_VERSION);
  } else if (arguments.help || arguments.command.empty()) {
    log::info(cat(kUsage, flag_descriptions(arguments)));
  } else {
    execute(arguments, session);
  }
  return kExitOk;
}

}  // namespace

int main(int argc, char** argv) {
  return tools::run_program(argc, argv, run);
}
