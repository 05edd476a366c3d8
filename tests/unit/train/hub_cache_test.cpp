// Models that were downloaded before: found where the hubs' programs put them.
#include "hub_cache.hpp"

#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <cstdlib>
#include <fstream>

#include "mtrain/base/error.hpp"

using namespace mtrain;
using namespace mtrain::train;
namespace fs = std::filesystem;

namespace {

/// A home of its own, without any of the variables that say where downloads lie.
struct Home {
  Home() : path(fs::temp_directory_path() / cat("mtrain-home-", ::getpid())) {
    fs::remove_all(path);
    for (const char* name : {"HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE",
                             "XDG_CACHE_HOME", "MODELSCOPE_CACHE"})
      ::unsetenv(name);
    set("HOME", path);
  }
  ~Home() { fs::remove_all(path); }

  static void set(const char* name, const fs::path& value) {
    ::setenv(name, value.c_str(), 1);
  }
  static void write(const fs::path& file, const std::string& text) {
    fs::create_directories(file.parent_path());
    std::ofstream(file) << text;
  }

  fs::path path;
};

/// A download of Org/a-model.5B with the snapshots 1a (main) and 2b (branch dev).
fs::path download(const fs::path& cache) {
  const fs::path model = cache / "models--Org--a-model.5B";
  Home::write(model / "refs/main", "1a\n");
  Home::write(model / "refs/dev", "2b");
  Home::write(model / "refs/bad", "../../../etc");
  for (const char* commit : {"1a", "2b"})
    Home::write(model / "snapshots" / commit / "config.json", "{}");
  return model / "snapshots";
}

std::string found(const std::string& name, const HubChoice& choice = {}) {
  return local_model(choice, "model_name_or_path", name);
}

constexpr char kName[] = "Org/a-model.5B";

}  // namespace

BOOST_AUTO_TEST_SUITE(hub_cache)

BOOST_AUTO_TEST_CASE(names_of_models) {
  for (const char* id : {"Qwen/Qwen3-0.6B", "a/b", "Qwen/Qwen3_x.1"})
    BOOST_TEST(is_hub_id(id), id);
  for (const char* path : {"", "model", "/a/b", "./a", "../a", "~/a", "a/b/c", "a/",
                           "a/..", "a b/c", ".a/b", "a/b..c"})
    BOOST_TEST(!is_hub_id(path), path);
}

BOOST_AUTO_TEST_CASE(the_cache_is_where_the_variables_say) {
  const Home home;
  const auto cache = [&] { return hub_caches("").hugging_face; };
  BOOST_TEST(cache() == home.path / ".cache/huggingface/hub");
  Home::set("XDG_CACHE_HOME", home.path / "xdg");
  BOOST_TEST(cache() == home.path / "xdg/huggingface/hub");
  Home::set("HF_HOME", "~/hf");
  BOOST_TEST(cache() == home.path / "hf/hub");
  Home::set("HUGGINGFACE_HUB_CACHE", home.path / "old");
  BOOST_TEST(cache() == home.path / "old");
  Home::set("HF_HUB_CACHE", home.path / "new");
  BOOST_TEST(cache() == home.path / "new");
  BOOST_TEST(hub_caches("here").hugging_face == "here");
}

BOOST_AUTO_TEST_CASE(a_download_is_found_by_branch_and_commit) {
  const Home home;
  const fs::path snapshots = download(home.path / ".cache/huggingface/hub");
  BOOST_TEST(found(kName) == snapshots / "1a");
  BOOST_TEST(found(kName, {"dev"}) == snapshots / "2b");
  BOOST_TEST(found(kName, {"1a"}) == snapshots / "1a");
  for (const char* none : {"v2", "bad", "3c", "..", ""})
    BOOST_CHECK_THROW(found(kName, {none}), UserError);
}

BOOST_AUTO_TEST_CASE(cache_dir_is_looked_into_instead) {
  const Home home;
  const fs::path snapshots = download(home.path / "mine");
  BOOST_CHECK_THROW(found(kName), UserError);
  BOOST_TEST(found(kName, {"main", (home.path / "mine").string()}) == snapshots / "1a");
}

BOOST_AUTO_TEST_CASE(a_download_of_model_scope_is_found) {
  const Home home;
  const fs::path folder = home.path / ".cache/modelscope/hub/models/Org/a-model___5B";
  Home::write(folder / "config.json", "{}");
  BOOST_TEST(found(kName) == folder);
}

BOOST_AUTO_TEST_CASE(folders_and_paths_stay_as_they_are) {
  const Home home;
  download(home.path / ".cache/huggingface/hub");
  for (const char* name : {"", "nowhere", "/no/such", "a/b/c", "./Org/a-model.5B"})
    BOOST_TEST(found(name) == name);
  const fs::path before = fs::current_path();
  fs::create_directories(home.path / kName);
  fs::current_path(home.path);
  BOOST_TEST(found(kName) == kName);
  fs::current_path(before);
}

BOOST_AUTO_TEST_CASE(what_is_not_there_comes_with_the_command_that_fetches_it) {
  const Home home;
  try {
    found("Qwen/Qwen3-0.6B", {"v2"});
    BOOST_ERROR("found");
  } catch (const UserError& error) {
    BOOST_TEST(std::string(error.what()) ==
               cat("model_name_or_path: no folder Qwen/Qwen3-0.6B, and no such model in "
                   "the hub's cache, ",
                   (home.path / ".cache/huggingface/hub").string()));
    BOOST_TEST(error.remedy().find("hf download Qwen/Qwen3-0.6B --revision v2") !=
               std::string::npos);
  }
}

BOOST_AUTO_TEST_SUITE_END()
