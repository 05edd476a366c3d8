// Owns the text of --help and the list of flags; called by the programs and the command
// line.
#include <set>

#include "entry.hpp"
#include "flags.hpp"
#include "key_table.hpp"
#include "mtrain/base/error.hpp"

namespace mtrain::config {

namespace {

constexpr size_t kPageWidth = 98;
constexpr size_t kNameWidth = 31;

/// Words of `text` in lines of at most `width` characters.
std::vector<std::string> wrapped(const std::string& text, size_t width) {
  std::vector<std::string> lines{""};
  for (const std::string& word : split(text, ' ')) {
    std::string& line = lines.back();
    if (line.empty()) {
      line = word;
    } else if (line.size() + 1 + word.size() <= width) {
      line += " " + word;
    } else {
      lines.push_back(word);
    }
  }
  return lines;
}

std::string padded(std::string text, size_t width) {
  if (text.size() < width) text.resize(width, ' ');
  return text;
}

/// One row: `left` (already aligned) and `text` wrapped in the rest of the page.
std::string row(const std::string& left, const std::string& text) {
  std::string out;
  std::string start = left;
  for (const std::string& line : wrapped(text, kPageWidth - left.size())) {
    out += start + line + "\n";
    start.assign(left.size(), ' ');
  }
  return out;
}

size_t widest_default() {
  size_t width = std::string("default").size();
  for (const Key& key : all_keys()) width = std::max(width, key.default_text.size());
  return width;
}

size_t widest_type() {
  size_t width = 0;
  for (const Key& key : all_keys()) width = std::max(width, key.type.size());
  return width;
}

/// The limits in brackets; a numeric range without blanks, so that it is never wrapped.
std::string limits_suffix(const Key& key) {
  if (key.limits.empty()) return {};
  std::string limits;
  const bool numeric = key.limits.find_first_of("<>") != std::string::npos;
  for (const char c : key.limits) {
    if (!numeric || c != ' ') limits += c;
  }
  return cat(" (", limits, ")");
}

std::string key_row(const Key& key) {
  const std::string rest = cat(padded(key.type, widest_type()), "  ",
                               padded(key.default_text, widest_default()), "  ");
  const std::string text = key.meaning + limits_suffix(key);
  if (key.name.size() <= kNameWidth) {
    return row(cat("  ", padded(key.name, kNameWidth), "  ", rest), text);
  }
  return cat("  ", key.name, "\n",
             row(cat(std::string(kNameWidth + 4, ' '), rest), text));
}

std::string usage(Purpose program) {
  if (program == Purpose::kPrepare) {
    return "mprep turns datasets into a token store for mtrain.\n\n"
           "  mprep DECK [key=value ...] [flags]\n"
           "  mpirun -np N mprep DECK [key=value ...]      the work is split over the "
           "ranks\n";
  }
  return "mtrain trains Qwen3 models over MPI.\n\n"
         "  mpirun -np N mtrain DECK [key=value ...] [flags]\n"
         "  srun --mpi=pmix mtrain DECK [key=value ...]\n"
         "  mtrain DECK --check --world-size N           checks everything, trains "
         "nothing\n";
}

}  // namespace

std::vector<Flag> flags_of(Purpose program) {
  std::vector<Flag> flags = {
      {"help", "", "print this text; --help KEY tells of one key or section"},
      {"version", "", "print the version"},
      {"quiet", "", "print warnings and errors only"},
  };
  if (program == Purpose::kPrepare) {
    flags.push_back({"show", "N", "print record N of the store as a table"});
    return flags;
  }
  flags.push_back({"check", "",
                   "read and check everything, print the resolved deck and the plan, and "
                   "end; runs as a single process without GPU"});
  flags.push_back({"world-size", "N", "number of ranks --check plans for"});
  flags.push_back({"gpu", "NAME", "GPU whose rates --check estimates with (h200)"});
  flags.push_back({"plan-search", "N",
                   "list the fastest layouts for N GPUs of the deck's model and batch, "
                   "and end"});
  flags.push_back({"doctor", "",
                   "look at MPI, libraries, GPUs, memory, shared files and the links "
                   "between the ranks, and end; needs no deck"});
  flags.push_back(
      {"ranks", "",
       "print the smallest number of ranks the deck's layout fits (others are "
       "multiples of it), and end"});
  flags.push_back(
      {"accept-changes", "",
       "go on from a checkpoint although the deck says to train otherwise now: "
       "accept_changes = true"});
  flags.push_back({"dump-deck", "",
                   "print the resolved deck with the origin of every value, and end"});
  flags.push_back({"dump-reference", "", "print docs/deck.md, and end", true});
  flags.push_back({"dump-coming-from", "", "print docs/coming-from.md, and end", true});
  return flags;
}

namespace {

/// Beside [data] mprep reads the model's tokenizer, what is trained, and for reference
/// log-probabilities the model itself.
bool reads(Purpose program, const Key& key) {
  static const std::set<std::string> sections = {"model", "data", "dpo"};
  static const std::set<std::string> keys = {
      "stage", "seed", "compat", "device", "backend", "per_device_train_batch_size"};
  return program != Purpose::kPrepare || sections.contains(key.section) ||
         keys.contains(key.name);
}

std::string keys_text(Purpose program, const SectionInfo& section) {
  std::string rows;
  for (const Key& key : all_keys())
    if (key.section == section.name && reads(program, key)) rows += key_row(key);
  return rows.empty() ? "" : cat("\n[", section.name, "]  ", section.title, "\n", rows);
}

std::string topic_text(Purpose program, const std::string& topic) {
  std::vector<std::string> names;
  for (const SectionInfo& section : all_sections()) {
    if (section.name == topic) return keys_text(program, section).substr(1);
    names.push_back(section.name);
  }
  for (const Key& key : all_keys()) {
    names.push_back(key.name);
    if (key.name != topic) continue;
    std::string out =
        cat("[", key.section, "] ", key.name, " = ", key.default_text, "\n");
    out += row("  ", cat(key.type, limits_suffix(key), ": ", key.meaning));
    return key.note.empty() ? out : out + row("  ", key.note);
  }
  const std::string near = nearest(topic, names);
  throw UserError(
      cat("--help ", shown(topic), ": no key or section of that name"),
      near.empty() ? "--help alone lists all of them" : cat("did you mean ", near, "?"));
}

}  // namespace

std::string help_text(Purpose program, const std::string& topic) {
  if (!topic.empty()) return topic_text(program, topic);
  std::string out = usage(program) + "\nFlags\n";
  for (const Flag& flag : flags_of(program)) {
    if (flag.hidden) continue;
    const std::string name =
        cat("--", flag.name, flag.argument.empty() ? "" : " ", flag.argument);
    out += row(cat("  ", padded(name, 16), "  "), flag.meaning);
  }
  out +=
      "\nDECK is an INI file ([section], key = value, # comment) or a flat YAML file, "
      "as\n"
      "LLaMA-Factory has them. key=value on the command line wins. null leaves a key at\n"
      "its default. docs/deck.md says more, also about names of other programs.\n";
  for (const SectionInfo& section : all_sections()) out += keys_text(program, section);
  return out;
}

}  // namespace mtrain::config
