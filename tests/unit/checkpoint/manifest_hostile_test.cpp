// Manifests that were changed, with their checksum: refused by field.
#include <nlohmann/json.hpp>

#include "hostile.hpp"
#include "mtrain/base/crc32c.hpp"

using namespace mtrain;
using namespace mtrain::checkpoint;
using namespace mtrain::checkpoint::test;
using nlohmann::json;

namespace {

/// The text with the checksum that belongs to it, as whoever changed it would write it.
std::string with_right_crc(std::string text) {
  const size_t digits = text.rfind(":\"") + 2;
  text.replace(digits, 8, 8, '0');
  char right[9];
  std::snprintf(right, sizeof right, "%08x", crc32c(0, text.data(), text.size()));
  return text.replace(digits, 8, right);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(manifest_hostile)

BOOST_AUTO_TEST_CASE(manifests_that_lie_are_refused) {
  const Scratch scratch;
  const fs::path folder = save(scratch, 1, 2, 0, {kMasterGroup});
  const Manifest sound = manifest_of(folder);
  const auto refused = [&](const std::function<void(Manifest&)>& change,
                           const std::string& word) {
    Manifest manifest = sound;
    change(manifest);
    write_file(folder / "manifest.json", manifest_text(manifest));
    refuses<UserError>([&] { read_everything(folder); }, {word});
  };
  refused([](Manifest& m) { m.state.step = 2; }, "at step 1");
  refused([](Manifest& m) { m.files.pop_back(); }, "rank 0 of 2");
  refused([](Manifest& m) { std::swap(m.files[0], m.files[1]); }, "rank 1 of 2");
  refused([](Manifest& m) { m.files.clear(); }, "no files");
  refused([](Manifest& m) { m.files[0].boxes[0].position += 4; }, "overlaps");
  refused([](Manifest& m) { m.files[0].boxes[0].position = INT64_MAX - 1; },
          "outside the file");
  refused(
      [](Manifest& m) { m.files[0].boxes[1].position = m.files[0].boxes[0].position; },
      "overlaps");
  refused([](Manifest& m) { m.files[0].bytes += 1; }, "manifest says");
  refused([](Manifest& m) { m.files[0].boxes[0].group = "../x"; }, "../x");
  refused([](Manifest& m) { m.files[0].boxes[0].box.offset[0] = 1000; }, "outside shape");
  refused([](Manifest& m) { m.files[0].boxes[0].box.offset.pop_back(); },
          "do not fit shape");
  refused([](Manifest& m) { m.files[0].boxes[0].box.extent.push_back(1); },
          "do not fit shape");
  refused([](Manifest& m) { m.files[0].boxes[0].box.full.back() *= 2; }, "shape");
  refused(
      [](Manifest& m) {
        for (int64_t& e : m.files[0].boxes[0].box.full) e = int64_t{1} << 40;
      },
      "shape");
  refused([](Manifest& m) { m.files[0].boxes.erase(m.files[0].boxes.begin()); },
          "in none of the rank files");
}

BOOST_AUTO_TEST_CASE(manifests_of_another_kind_are_refused) {
  const Scratch scratch;
  const fs::path folder = save(scratch, 1, 1, 0, {kMasterGroup});
  const json sound = json::parse(read_file(folder / "manifest.json"));
  const auto refused = [&](const std::function<void(json&)>& change,
                           const std::string& word) {
    json value = sound;
    change(value);
    write_file(folder / "manifest.json", value.dump());
    refuses<UserError>([&] { CheckpointReader{folder}; }, {"manifest.json", word});
  };
  refused([](json& v) { v["version"] = 2; }, "version 2");
  refused([](json& v) { v["format"] = "x"; }, "format");
  refused([](json& v) { v.erase("format"); }, "format");
  refused([](json& v) { v = json::array(); }, "manifest");
  refused([](json& v) { v["manifest_crc32c"] = "nonsense"; }, "CRC");
  refused([](json& v) { v["state"]["tokens"] = 5; }, "checksum");
}

BOOST_AUTO_TEST_CASE(numbers_that_do_not_fit_are_refused) {
  const Scratch scratch;
  const fs::path folder = save(scratch, 1, 1, 0, {kMasterGroup});
  const std::string sound = read_file(folder / "manifest.json");
  const auto refused = [&](const std::string& old, const std::string& changed,
                           const std::string& word) {
    std::string text = sound;
    const size_t at = text.find(old);
    BOOST_REQUIRE(at != std::string::npos);
    text.replace(at, old.size(), changed);
    write_file(folder / "manifest.json", with_right_crc(text));
    refuses<UserError>([&] { CheckpointReader{folder}; }, {"manifest.json", word});
  };
  refused(R"("data_seed":43)", R"("data_seed":1e300)", "data_seed");
  refused(R"("data_seed":43)", R"("data_seed":-1)", "data_seed");
  refused(R"("world_size":1)", R"("world_size":4294967297)", "world_size");
  refused(R"("rank":0)", R"("rank":4294967296)", "rank");
  refused(R"("step":1)", R"("step":1.5)", "1.5");
}

BOOST_AUTO_TEST_CASE(summaries_with_holes_do_not_reach_the_disk) {
  // A reader must refuse what no rank stored even if a manifest says it is complete.
  const Scratch scratch;
  const fs::path folder = save(scratch, 1, 1, 3, {kMasterGroup});
  CheckpointWriter writer(scratch, 2, 0, 1);
  writer.write({{kMasterGroup, {"w", {4}, {0}, {2}}, at::zeros({2})}});
  const RankFile half = rank_file_from_json(json::parse(writer.finish()));
  fs::copy_file(scratch / "checkpoint-2.tmp/rank-00000.h5", folder / "rank-00000.h5",
                fs::copy_options::overwrite_existing);
  Manifest manifest = manifest_of(folder);
  manifest.files = {half};
  manifest.state.step = 2;
  write_file(folder / "manifest.json", manifest_text(manifest));
  const CheckpointReader reader(folder);
  const TensorSource& source = reader.group(kMasterGroup);
  BOOST_TEST(source.read({"w", {4}, {0}, {2}}).numel() == 2);
  refuses<UserError>([&] { source.read(all_of("w", {4})); }, {"w[2:4]", "master"});
  refuses<UserError>([&] { source.read(all_of("w", {5})); }, {"\"w\"", "[4]", "[5]"});
  refuses<UserError>([&] { source.read(all_of("v", {4})); }, {"\"v\""});
}

BOOST_AUTO_TEST_SUITE_END()
