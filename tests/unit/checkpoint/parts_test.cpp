// The small parts: CRC, integers in JSON, coverage, copying of boxes, chunks.
#include <random>

#include "box_copy.hpp"
#include "coverage.hpp"
#include "fixtures.hpp"
#include "mtrain/base/crc32c.hpp"
#include "mtrain/base/json.hpp"
#include "mtrain/checkpoint/convert.hpp"
#include "strict_json.hpp"

using namespace mtrain;
using namespace mtrain::checkpoint;
using namespace mtrain::checkpoint::test;

BOOST_AUTO_TEST_SUITE(parts)

BOOST_AUTO_TEST_CASE(crc_agrees_with_the_published_values) {
  // RFC 3720, appendix B.4.
  std::string bytes(32, '\0');
  BOOST_TEST(crc32c(0, bytes.data(), 32) == 0x8a9136aau);
  bytes.assign(32, '\xff');
  BOOST_TEST(crc32c(0, bytes.data(), 32) == 0x62a8ab43u);
  for (int i = 0; i < 32; ++i) bytes[static_cast<size_t>(i)] = static_cast<char>(i);
  BOOST_TEST(crc32c(0, bytes.data(), 32) == 0x46dd794eu);
  BOOST_TEST(crc32c_by_table(0, "123456789", 9) == 0xe3069283u);
}

BOOST_AUTO_TEST_CASE(crc_by_instruction_table_and_pieces_agree) {
  std::mt19937 random(1);
  std::string bytes(50'001, '\0');
  for (char& byte : bytes) byte = static_cast<char>(random());
  for (const size_t count :
       {0, 1, 7, 8, 9, 4096, 12287, 12288, 12289, 24576, 36870, 50001}) {
    const uint32_t expected = crc32c_by_table(0, bytes.data(), count);
    BOOST_TEST(crc32c(0, bytes.data(), count) == expected);
    const size_t half = count / 3;
    const uint32_t first = crc32c(0, bytes.data(), half);
    BOOST_TEST(crc32c(first, bytes.data() + half, count - half) == expected);
  }
}

BOOST_AUTO_TEST_CASE(integers_are_not_guessed) {
  for (const char* text :
       {"[1.5]", "[-1]", "[true]", "[\"1\"]", "[9223372036854775808]", "1"})
    BOOST_CHECK_THROW(integer_list(parse_json(text, "f")), Error);
  BOOST_TEST((integer_list(parse_json("[0, 9223372036854775807]", "f")) ==
              std::vector<int64_t>{0, INT64_MAX}));
}

BOOST_AUTO_TEST_CASE(uncovered_is_exact) {
  std::mt19937 random(2);
  for (int round = 0; round < 300; ++round) {
    const Shape full = {4, 3, 5};
    std::vector<Box> boxes;
    at::Tensor mask = at::zeros(full, at::TensorOptions().dtype(at::kInt));
    const auto mark = [&](const Box& box, int value) {
      at::Tensor part = mask;
      for (size_t d = 0; d < 3; ++d)
        part = part.narrow(static_cast<int64_t>(d), box.offset[d], box.extent[d]);
      part.add_(value);
    };
    for (int n = 0; n < round % 5; ++n) {
      Box box = all_of("w", full);
      for (size_t d = 0; d < 3; ++d) {
        box.offset[d] = static_cast<int64_t>(random() % static_cast<unsigned>(full[d]));
        box.extent[d] = 1 + static_cast<int64_t>(random() % static_cast<unsigned>(
                                                                full[d] - box.offset[d]));
      }
      boxes.push_back(box);
      mark(box, 100);
    }
    for (const Box& rest : uncovered(all_of("w", full), boxes)) mark(rest, 1);
    // Covered elements have a multiple of 100, the others exactly 1.
    const bool exact =
        at::logical_or(mask == 1, at::logical_and(mask >= 100, mask.remainder(100) == 0))
            .all()
            .item<bool>();
    BOOST_TEST(exact);
  }
  BOOST_TEST(uncovered(all_of("s", {}), {}).size() == 1);
  BOOST_TEST(uncovered(all_of("s", {}), {all_of("s", {})}).empty());
}

BOOST_AUTO_TEST_CASE(inside_is_checked_without_overflow) {
  BOOST_TEST(is_inside({"w", {4}, {1}, {3}}));
  BOOST_TEST(!is_inside({"w", {4}, {1}, {4}}));
  BOOST_TEST(!is_inside({"w", {4}, {-1}, {2}}));
  BOOST_TEST(!is_inside({"w", {4}, {INT64_MAX}, {4}}));
  BOOST_TEST(!is_inside({"w", {4, 4}, {0}, {4}}));
  BOOST_TEST(is_inside({"w", {}, {}, {}}));
}

BOOST_AUTO_TEST_CASE(every_box_is_copied_read_and_written_right) {
  const Scratch scratch;
  const Shape full = {3, 4, 5};
  const at::Tensor whole = numbered(full, at::kFloat, 1);
  const Box all = all_of("w", full);
  const File file = File::create(scratch / "raw");
  file.resize(100 + 60 * 4);
  file.write_at(100, whole.data_ptr(), 60 * 4);
  const auto check = [&](const Box& box) {
    const at::Tensor expected = slice(whole, box);
    at::Tensor copied = at::zeros(box.extent), read = at::zeros(box.extent);
    copy_box(box, all, whole.data_ptr(), box, copied.data_ptr(), 4);
    read_box(box, all, file, 100, box, read.data_ptr(), 4);
    BOOST_TEST(same_bytes(copied, expected));
    BOOST_TEST(same_bytes(read, expected));
  };
  for (int64_t a = 0; a < 3; ++a)
    for (int64_t b = 0; b < 4; ++b)
      for (int64_t c = 0; c < 5; ++c)
        for (int64_t ea = 1; a + ea <= 3; ++ea)
          for (int64_t eb = 1; b + eb <= 4; ++eb)
            for (int64_t ec = 1; c + ec <= 5; ++ec)
              check({"w", full, {a, b, c}, {ea, eb, ec}});
}

BOOST_AUTO_TEST_CASE(short_and_long_runs_of_wide_rows_are_read_right) {
  const Scratch scratch;
  const Shape full = {40, 30'000};  // rows of 120 kB: windows, gaps and direct reads
  const at::Tensor whole = numbered(full, at::kFloat, 0);
  const Box all = all_of("w", full);
  const File file = File::create(scratch / "raw");
  file.write_at(0, whole.data_ptr(), whole.nbytes());
  for (const auto& [column, columns] : std::vector<std::pair<int64_t, int64_t>>{
           {0, 1}, {29'999, 1}, {100, 15'000}, {10, 29'500}, {0, 30'000}, {7, 200}}) {
    const Box box{"w", full, {3, column}, {36, columns}};
    at::Tensor read = at::zeros(box.extent);
    read_box(box, all, file, 0, box, read.data_ptr(), 4);
    BOOST_TEST(same_bytes(read, slice(whole, box)));
  }
  const Shape narrow = {2000, 30};  // many short runs in one window
  const at::Tensor small = numbered(narrow, at::kFloat, 5);
  file.write_at(0, small.data_ptr(), small.nbytes());
  file.resize(static_cast<int64_t>(small.nbytes()));
  const Box box{"w", narrow, {0, 3}, {2000, 4}};
  at::Tensor read = at::zeros(box.extent);
  read_box(box, all_of("w", narrow), file, 0, box, read.data_ptr(), 4);
  BOOST_TEST(same_bytes(read, slice(small, box)));
}

BOOST_AUTO_TEST_CASE(chunks_cover_once_in_order_and_stay_small) {
  for (const Shape& shape :
       {Shape{}, Shape{7}, Shape{5, 6}, Shape{2, 3, 4}, Shape{4, 0, 2}})
    for (int64_t most = 1; most <= 30; ++most) {
      const auto chunks = chunks_of({"w", shape, at::kFloat}, most);
      int64_t elements = 0;
      for (const Box& chunk : chunks) {
        BOOST_TEST(chunk.size() <= most);
        BOOST_TEST(is_inside(chunk));
        elements += chunk.size();
      }
      BOOST_TEST(elements == parallel::numel(shape));
      BOOST_TEST(uncovered(all_of("w", shape), chunks).empty());
    }
}

BOOST_AUTO_TEST_CASE(files_never_follow_links) {
  const Scratch scratch;
  write_file(scratch / "precious", "keep me");
  fs::create_symlink("precious", scratch / "link");
  refuses<UserError>([&] { File::open_to_read(scratch / "link"); }, {"link", "symbolic"});
  refuses<Error>([&] { File::open_to_write(scratch / "link"); }, {"link", "errno"});
  const File made = File::create(scratch / "link");
  made.write_at(0, "new", 3);
  BOOST_TEST(read_file(scratch / "precious") == "keep me");
  BOOST_TEST(read_file(scratch / "link") == "new");
  fs::create_directory_symlink(scratch / "elsewhere", scratch / "folder");
  refuses<Error>([&] { make_directory(scratch / "folder"); }, {"folder", "errno"});
  refuses<UserError>([&] { File::open_to_read(scratch); }, {"not a regular file"});
  BOOST_TEST(::mkfifo((scratch / "pipe").c_str(), 0600) == 0);
  refuses<UserError>([&] { File::open_to_read(scratch / "pipe"); },
                     {"not a regular file"});
  refuses<UserError>([&] { File::open_to_read(scratch / "none"); }, {"none", "errno 2"});
}

BOOST_AUTO_TEST_CASE(a_full_disk_is_named_with_errno) {
  // /dev/full answers every write with ENOSPC.
  if (!fs::exists("/dev/full")) return;
  const File full = File::open_to_write("/dev/full");
  refuses<Error>([&] { full.write_at(0, "x", 1); }, {"/dev/full", "errno 28"});
}

BOOST_AUTO_TEST_SUITE_END()
