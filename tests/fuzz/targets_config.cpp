// Fuzz targets of decks.
#include "mtrain/base/error.hpp"
#include "mtrain/config/parse.hpp"
#include "targets.hpp"

namespace mtrain::test {
namespace {

using config::Purpose;

Target deck_target(const std::string& name, const std::string& file,
                   const std::string& seed) {
  return {name,
          {config::read_deck_file(cat(MTRAIN_SOURCE_DIR "/", seed)).text},
          [file](const std::string& bytes) {
            config::parse_deck({file, bytes}, {}, Purpose::kTrain);
          }};
}

}  // namespace

const std::vector<Target>& all_targets() {
  static const std::vector<Target> targets = {
      deck_target("deck_ini", "d.ini", "inputs/qwen3_moe_full.ini"),
      deck_target("deck_yaml", "d.yaml", "tests/run/examples/qwen3_full.yaml")};
  return targets;
}

}  // namespace mtrain::test
