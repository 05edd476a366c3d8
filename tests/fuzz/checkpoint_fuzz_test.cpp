// Damaged model folders and checkpoints end in UserError or are read, never in anything
// else.
#define BOOST_TEST_MODULE checkpoint_fuzz
#include "fuzz.hpp"
#include "mtrain/checkpoint/safetensors.hpp"
#include "mtrain/models/model.hpp"
#include "unit/checkpoint/saved.hpp"

using namespace mtrain;
using namespace mtrain::checkpoint;
using namespace mtrain::checkpoint::test;
using mtrain::test::fuzz;

namespace {

void read_all(const TensorSource& source) {
  for (const TensorInfo& info : source.tensors())
    source.read(all_of(info.name, info.shape));
}

/// Damages one file of `folder` at a time; the others are whole.
void fuzz_file(const fs::path& folder, const std::string& name, int rounds,
               const std::function<void()>& use) {
  const std::string whole = read_file(folder / name);
  fuzz({whole}, rounds, [&](const std::string& bytes) {
    write_file(folder / name, bytes);
    use();
  });
  write_file(folder / name, whole);
}

void use_checkpoint(const fs::path& folder) {
  const CheckpointReader reader(folder);
  reader.verify(0, 1);
  reader.deck_text();
  for (const std::string& group : reader.groups()) read_all(reader.group(group));
}

}  // namespace

BOOST_AUTO_TEST_CASE(safetensors) {
  const Scratch scratch;
  SafetensorsWriter writer = SafetensorsWriter::create(scratch, model_tensors(), 600);
  for (const TensorInfo& info : model_tensors())
    writer.write(all_of(info.name, info.shape), stored_values("x", info));
  writer.finish();
  const fs::path folder = scratch;
  const auto use = [&] { read_all(*open_safetensors(folder)); };
  fuzz_file(folder, "model.safetensors.index.json", 400, use);
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() == ".safetensors")
      fuzz_file(folder, entry.path().filename(), 300, use);
  }
}

// The targets that libFuzzer has, too; their checksums are right whatever is damaged.
BOOST_AUTO_TEST_CASE(forged_files) {
  fuzz("manifest", 4000);
  fuzz("rank_file", 8000);
  fuzz("safetensors", 8000);
}

BOOST_AUTO_TEST_CASE(checkpoints) {
  const Scratch scratch;
  const fs::path folder = save(scratch, 1, 2, 1, {kMasterGroup});
  for (const char* name : {"manifest.json", "rank-00000.h5", "deck.ini"})
    fuzz_file(folder, name, 300, [&] { use_checkpoint(folder); });
}

BOOST_AUTO_TEST_CASE(model_configs) {
  std::vector<std::string> texts;
  for (const char* name : {"tiny-qwen3/config.json", "tiny-qwen3-moe/config.json",
                           "tiny-qwen3-moe-mixed/config.v5.json"})
    texts.push_back(
        read_file(fs::path(MTRAIN_SOURCE_DIR) / "tests/golden/data/models" / name));
  fuzz(texts, 2000, [](const std::string& text) {
    const auto config = models::parse_model_config(text, "config.json");
    config->tensors();
    config->parameters();
    config->flops_per_token(100);
  });
}
