// Reading safetensors: golden folders, every dtype and box, and everything outside the
// format.
#include <nlohmann/json.hpp>
#include <random>

#include "fixtures.hpp"
#include "mtrain/checkpoint/safetensors.hpp"

using namespace mtrain;
using namespace mtrain::checkpoint;
using namespace mtrain::checkpoint::test;
using nlohmann::json;

namespace {

/// Writes model.safetensors with this header and data; opens it, expecting a refusal.
void refuse_header(const std::string& header, const std::string& data,
                   std::vector<std::string> words) {
  const Scratch scratch;
  write_file(scratch / "model.safetensors", safetensors_bytes(header, data));
  words.push_back("model.safetensors");
  refuses<UserError>([&] { open_safetensors(scratch); }, words);
}

/// A small valid file of two tensors.
std::string two_tensors() {
  return safetensors_bytes(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
                           R"("b":{"dtype":"BF16","shape":[2,3],"data_offsets":[8,20]}})",
                           "abcdefghijklmnopqrst");
}

std::string shard_of(const std::string& tensor) {
  return safetensors_bytes(
      "{\"" + tensor + R"(":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", "1234");
}

}  // namespace

BOOST_AUTO_TEST_SUITE(safetensors_read)

BOOST_AUTO_TEST_CASE(a_single_file_gives_its_bytes) {
  const auto source = open_safetensors(golden_model("tiny-qwen3"));
  BOOST_TEST(source->tensors().size() == 46);
  BOOST_TEST(std::is_sorted(source->tensors().begin(), source->tensors().end(),
                            [](auto& a, auto& b) { return a.name < b.name; }));
  const std::string bytes = read_file(golden_model("tiny-qwen3") / "model.safetensors");
  uint64_t length;
  std::memcpy(&length, bytes.data(), 8);
  const json header = json::parse(bytes.substr(8, length));
  for (const TensorInfo& info : source->tensors()) {
    const auto& entry = header.at(info.name);
    BOOST_TEST((entry["shape"].get<Shape>() == info.shape));
    BOOST_TEST((info.dtype == at::kFloat));
    const at::Tensor read = source->read(all_of(info.name, info.shape));
    const size_t at = 8 + length + entry["data_offsets"][0].get<size_t>();
    BOOST_TEST(std::memcmp(read.data_ptr(), bytes.data() + at, read.nbytes()) == 0);
  }
}

BOOST_AUTO_TEST_CASE(a_sharded_folder_is_one_model) {
  const auto source = open_safetensors(golden_model("tiny-qwen3-untied-bf16"));
  int64_t elements = 0;
  for (const TensorInfo& info : source->tensors()) {
    BOOST_TEST((info.dtype == at::kBFloat16));
    elements += parallel::numel(info.shape);
  }
  BOOST_TEST(elements == 264'000);
  const TensorInfo* head = source->find("lm_head.weight");
  BOOST_REQUIRE(head != nullptr);
  BOOST_TEST((head->shape == Shape{771, 96}));
  BOOST_TEST(source->find("nothing") == nullptr);
  const at::Tensor whole = source->read(all_of(head->name, head->shape));
  for (const Box& box : {Box{head->name, head->shape, {0, 0}, {771, 5}},
                         Box{head->name, head->shape, {770, 95}, {1, 1}},
                         Box{head->name, head->shape, {300, 0}, {171, 96}}})
    BOOST_TEST(same_bytes(source->read(box), slice(whole, box)));
}

BOOST_AUTO_TEST_CASE(scalars_empty_tensors_and_other_dtypes) {
  const Scratch scratch;
  write_file(
      scratch / "x.safetensors",
      safetensors_bytes(R"({"__metadata__":{"k":"v"},)"
                        R"("f":{"dtype":"F64","shape":[],"data_offsets":[0,8]},)"
                        R"("e":{"dtype":"F16","shape":[0,4],"data_offsets":[8,8]},)"
                        R"("i":{"dtype":"I16","shape":[2],"data_offsets":[8,12]}}   )",
                        std::string("\0\0\0\0\0\0\xf0\x3f\x01\0\xff\xff", 12)));
  const auto source = open_safetensors(scratch / "x.safetensors");
  BOOST_TEST(source->read(all_of("f", {})).item<double>() == 1.0);
  BOOST_TEST(source->read(all_of("e", {0, 4})).numel() == 0);
  BOOST_TEST(source->read(all_of("i", {2}))[1].item<int>() == -1);
}

BOOST_AUTO_TEST_CASE(boxes_that_do_not_fit_are_refused) {
  const auto source = open_safetensors(golden_model("tiny-qwen3"));
  const std::string name = "model.norm.weight";
  refuses<UserError>(
      [&] {
        source->read({name, {65}, {0}, {65}});
      },
      {"model.safetensors", name, "[64]", "[65]"});
  refuses<UserError>([&] { source->read({name, {64}, {60}, {5}}); }, {name});
  refuses<UserError>([&] { source->read({name, {64, 1}, {0, 0}, {64, 1}}); }, {name});
  refuses<UserError>([&] { source->read({"no.such", {64}, {0}, {64}}); }, {"no.such"});
}

BOOST_AUTO_TEST_CASE(headers_outside_the_format_are_refused) {
  const auto a = [](const std::string& fields) { return "{\"a\":{" + fields + "}}"; };
  refuse_header("[]", "", {"'{'"});
  refuse_header(" {}", "", {"'{'"});
  refuse_header("", "", {"'{'"});
  refuse_header("{}x", "", {"JSON"});
  refuse_header("{}", "1", {"end at byte 0", "file at 1"});
  refuse_header(a(R"("dtype":"F32","shape":[1],"data_offsets":[4,8])"), "12345678",
                {"\"a\"", "hole"});
  refuse_header(a(R"("dtype":"F32","shape":[1],"data_offsets":[0,8])"), "12345678",
                {"takes 4"});
  refuse_header(a(R"("dtype":"F32","shape":[2],"data_offsets":[8,0])"), "12345678",
                {"[8, 0]"});
  refuse_header(a(R"("dtype":"F32","shape":[1],"data_offsets":[0,4])"), "123",
                {"end at byte 4"});
  refuse_header(a(R"("dtype":"F32","shape":[1],"data_offsets":[0,4])"), "12345",
                {"file at 5"});
  refuse_header(a(R"("dtype":"F33","shape":[1],"data_offsets":[0,4])"), "1234", {"F33"});
  refuse_header(a(R"("dtype":7,"shape":[1],"data_offsets":[0,4])"), "1234", {"dtype"});
  refuse_header(a(R"("dtype":"F32","shape":1,"data_offsets":[0,4])"), "1234",
                {"\"shape\""});
  refuse_header(a(R"("dtype":"F32","shape":[1.0],"data_offsets":[0,4])"), "1234",
                {"\"shape\""});
  refuse_header(a(R"("dtype":"F32","shape":[-1],"data_offsets":[0,4])"), "1234",
                {"\"shape\""});
  refuse_header(a(R"("dtype":"F32","shape":[1],"data_offsets":[0,4,8])"), "1234",
                {"pair"});
  refuse_header(a(R"("dtype":"F32","shape":[1])"), "1234", {"data_offsets"});
  refuse_header(a(R"("dtype":"F32","shape":[1],"data_offsets":[0,4],"x":1)"), "1234",
                {"more than"});
  refuse_header(a(R"("dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4])"),
                "1234", {"twice"});
  refuse_header(
      a(R"("dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0])"), "",
      {"too large"});
  refuse_header(a(R"("dtype":"F32","shape":[18446744073709551615],"data_offsets":[0,4])"),
                "1234", {"\"shape\""});
  refuse_header(R"({"a":1})", "", {"\"a\"", "object"});
  refuse_header(R"({"__metadata__":{"n":1}})", "", {"__metadata__"});
  refuse_header(R"({"__metadata__":"n"})", "", {"__metadata__"});
  const std::string four = R"({"dtype":"F32","shape":[1],"data_offsets":[0,4]})";
  refuse_header("{\"a\":" + four + ",\"b\":" + four + "}", "1234", {"\"b\"", "overlap"});
  refuse_header("{\"a\":" + four + ",\"a\":" + four + "}", "1234", {"twice"});
}

BOOST_AUTO_TEST_CASE(impossible_header_sizes_are_refused_without_reading) {
  const Scratch scratch;
  const auto open = [&](uint64_t length, const std::string& rest) {
    write_file(scratch / "model.safetensors",
               std::string(reinterpret_cast<char*>(&length), 8) + rest);
    open_safetensors(scratch);
  };
  refuses<UserError>([&] { open(UINT64_MAX, "{}"); }, {"100000000"});
  refuses<UserError>([&] { open(100'000'001, "{}"); }, {"100000000"});
  refuses<UserError>([&] { open(3, "{}"); }, {"10 bytes in all"});
  write_file(scratch / "model.safetensors", "1234567");
  refuses<UserError>([&] { open_safetensors(scratch); }, {"only 7 bytes"});
  write_file(scratch / "model.safetensors", "");
  refuses<UserError>([&] { open_safetensors(scratch); }, {"only 0 bytes"});
}

BOOST_AUTO_TEST_CASE(every_truncation_is_refused) {
  const Scratch scratch;
  const std::string bytes = read_file(golden_model("tiny-qwen3") / "model.safetensors");
  for (size_t size = 0; size < bytes.size(); size += size < 8000 ? 97 : 9700) {
    write_file(scratch / "model.safetensors", bytes.substr(0, size));
    BOOST_CHECK_THROW(open_safetensors(scratch), UserError);
  }
  write_file(scratch / "model.safetensors", bytes + "x");
  BOOST_CHECK_THROW(open_safetensors(scratch), UserError);
}

BOOST_AUTO_TEST_CASE(header_bit_flips_never_crash_and_never_read_outside) {
  const Scratch scratch;
  const std::string bytes = two_tensors();
  const size_t header = bytes.size() - 20;
  write_file(scratch / "model.safetensors", bytes);
  int refused = 0;
  for (size_t bit = 0; bit < header * 8; ++bit) {
    flip_bit(scratch / "model.safetensors", bit / 8, bit % 8);
    try {
      const auto source = open_safetensors(scratch);
      for (const TensorInfo& info : source->tensors())
        source->read(all_of(info.name, info.shape));
    } catch (const UserError&) {
      ++refused;
    }
    flip_bit(scratch / "model.safetensors", bit / 8, bit % 8);
  }
  // What is left are other names, and F16 or I16 in place of BF16 or the like.
  BOOST_TEST(refused > static_cast<int>(header * 8) * 9 / 10);
}

BOOST_AUTO_TEST_CASE(folders_without_exactly_one_model_are_refused) {
  const Scratch scratch;
  refuses<UserError>([&] { open_safetensors(scratch); }, {"neither"});
  refuses<UserError>([&] { open_safetensors(scratch / "none"); }, {"none"});
  BOOST_TEST(!holds_safetensors(scratch));
  write_file(scratch / "model.safetensors", two_tensors());
  BOOST_TEST(holds_safetensors(scratch));
  open_safetensors(scratch);
  write_file(scratch / "model.safetensors.index.json", "{}");
  refuses<UserError>([&] { open_safetensors(scratch); }, {"both"});
}

// The hub's cache is a folder of links, to files that bear their checksums as names.
BOOST_AUTO_TEST_CASE(links_are_followed) {
  const Scratch scratch;
  for (const char* folder : {"blobs", "snapshot"}) fs::create_directory(scratch / folder);
  const fs::path model = scratch / "snapshot";
  write_file(scratch / "blobs/1f", shard_of("a"));
  write_file(scratch / "blobs/2e", shard_of("b"));
  write_file(scratch / "blobs/3d",
             R"({"weight_map":{"a":"m1.safetensors","b":"m2.safetensors"}})");
  fs::create_symlink("../blobs/1f", model / "m1.safetensors");
  fs::create_symlink("../blobs/2e", model / "m2.safetensors");
  fs::create_symlink("../blobs/3d", model / "model.safetensors.index.json");
  BOOST_TEST(open_safetensors(model)->tensors().size() == 2u);
  fs::remove(scratch / "blobs/2e");
  refuses<UserError>([&] { open_safetensors(model); },
                     {"m2.safetensors", "No such file"});
}

BOOST_AUTO_TEST_CASE(what_is_no_file_is_refused) {
  const Scratch scratch;
  fs::create_directory(scratch / "model.safetensors");
  refuses<UserError>([&] { open_safetensors(scratch); }, {"not a regular file"});
}

BOOST_AUTO_TEST_CASE(indexes_that_lie_are_refused) {
  const Scratch scratch;
  const auto with = [&](const std::string& index) {
    write_file(scratch / "model.safetensors.index.json", index);
    return open_safetensors(scratch);
  };
  const auto map = [](const std::string& entries) {
    return "{\"weight_map\":{" + entries + "}}";
  };
  write_file(scratch / "m1.safetensors", shard_of("a"));
  write_file(scratch / "m2.safetensors", shard_of("b"));
  BOOST_TEST(
      with(map(R"("a":"m1.safetensors","b":"m2.safetensors")"))->tensors().size() == 2);
  const auto refused = [&](const std::string& index,
                           const std::vector<std::string>& words) {
    refuses<UserError>([&] { with(index); }, words);
  };
  for (const char* name :
       {"../m1.safetensors", "/etc/m1.safetensors", "x/m1.safetensors", "..", "",
        "m1.safetensors\\u0000", "m1.bin", ".safetensors", "x\\\\m1.safetensors"})
    refused(map(std::string(R"("a":")") + name + "\""), {"index.json", "\"a\""});
  refused(map(R"("a":1)"), {"\"a\""});
  refused(map(""), {"no tensor"});
  refused("{}", {"weight_map"});
  refused("[]", {"weight_map"});
  refused("{", {"JSON"});
  refused(map(R"("a":"m1.safetensors","a":"m1.safetensors")"), {"twice"});
  refused(map(R"("a":"m3.safetensors")"), {"m3.safetensors", "errno 2"});
  refused(map(R"("a":"m1.safetensors","c":"m1.safetensors")"), {"lacks", "\"c\""});
  refused(map(R"("b":"m1.safetensors")"), {"m1.safetensors", "\"a\""});
  write_file(scratch / "m2.safetensors", shard_of("a"));
  refused(map(R"("a":"m1.safetensors","b":"m2.safetensors")"),
          {"m2.safetensors", "\"a\"", "m1"});
}

BOOST_AUTO_TEST_CASE(a_file_cut_after_opening_is_an_error_not_a_crash) {
  const Scratch scratch;
  write_file(scratch / "model.safetensors", two_tensors());
  const auto source = open_safetensors(scratch);
  fs::resize_file(scratch / "model.safetensors", two_tensors().size() - 5);
  refuses<UserError>([&] { source->read(all_of("b", {2, 3})); }, {"too early"});
}

BOOST_AUTO_TEST_SUITE_END()
