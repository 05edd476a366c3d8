// The rules for opening files, and files that grow on a disk that may be full.
#include "mtrain/base/file.hpp"

#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <csignal>
#include <fstream>
#include <iterator>

#include "mtrain/base/error.hpp"
#include "mtrain/base/journal.hpp"

using namespace mtrain;
namespace fs = std::filesystem;

namespace {

/// An empty folder, removed at the end.
struct Folder {
  Folder() { fs::create_directories(path); }
  ~Folder() { fs::remove_all(path); }
  fs::path operator/(const char* name) const { return path / name; }
  const fs::path path = fs::temp_directory_path() / cat("mtrain-file-test-", ::getpid());
};

void write(const fs::path& path, const std::string& text) {
  std::ofstream(path) << text;
}

std::string content(const fs::path& path) {
  std::ifstream in(path);
  return {std::istreambuf_iterator<char>(in), {}};
}

/// Files of this process may not grow beyond `bytes` while it lives.
struct FullDisk {
  explicit FullDisk(rlim_t bytes) {
    std::signal(SIGXFSZ, SIG_IGN);
    ::getrlimit(RLIMIT_FSIZE, &before);
    const rlimit limit{bytes, before.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FullDisk() { ::setrlimit(RLIMIT_FSIZE, &before); }
  rlimit before{};
};

}  // namespace

BOOST_AUTO_TEST_SUITE(file)

BOOST_AUTO_TEST_CASE(inputs_may_be_links_but_only_to_regular_files) {
  const Folder dir;
  write(dir / "text", "hello");
  fs::create_symlink("text", dir / "link");
  fs::create_symlink("pipe", dir / "to-pipe");
  BOOST_TEST(::mkfifo((dir / "pipe").c_str(), 0600) == 0);
  BOOST_TEST(read_text(File::open_input(dir / "link"), 5) == "hello");
  for (const fs::path& odd :
       {dir.path, dir / "pipe", dir / "to-pipe", fs::path("/dev/zero")})
    BOOST_CHECK_THROW(File::open_input(odd), UserError);
  BOOST_CHECK_THROW(File::open_to_read(dir / "link"), UserError);
  BOOST_CHECK_THROW(read_text(File::open_input(dir / "text"), 4), UserError);
}

BOOST_AUTO_TEST_CASE(outputs_are_never_links) {
  const Folder dir;
  write(dir / "victim", "keep me");
  fs::create_symlink("victim", dir / "link");
  BOOST_CHECK_THROW(File::open_to_append(dir / "link"), Error);
  write_file_atomically(dir / "link", "new");
  BOOST_TEST(content(dir / "victim") == "keep me");
  BOOST_TEST(content(dir / "link") == "new");
  BOOST_TEST(::mkfifo((dir / "pipe").c_str(), 0600) == 0);
  BOOST_CHECK_THROW(File::open_to_append(dir / "pipe"), Error);
}

BOOST_AUTO_TEST_CASE(a_journal_keeps_what_does_not_fit) {
  const Folder dir;
  const fs::path path = dir / "log";
  Journal journal(path);
  journal.add("one\n");
  {
    const FullDisk full(6);
    journal.add("two\n");
    journal.add("three\n");
    BOOST_TEST(journal.fault().find("log") != std::string::npos);
    BOOST_TEST(content(path) == "one\ntw");
  }
  journal.add("four\n");
  BOOST_TEST(journal.fault() == "");
  BOOST_TEST(content(path) == "one\ntwo\nthree\nfour\n");
}

BOOST_AUTO_TEST_SUITE_END()
