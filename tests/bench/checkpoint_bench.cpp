// Times saving and loading a rank file against plain writes and reads of as many bytes in
// the same run. checkpoint_bench FOLDER MIB TENSORS
#include <ATen/ATen.h>
#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <map>

#include "mtrain/base/error.hpp"
#include "mtrain/base/timer.hpp"
#include "mtrain/checkpoint/training_checkpoint.hpp"

namespace {

using namespace mtrain;
namespace fs = std::filesystem;

struct Descriptor {
  Descriptor(const fs::path& path, int flags) : id(::open(path.c_str(), flags, 0666)) {
    MT_CHECK(id >= 0, "cannot open ", path.string());
  }
  ~Descriptor() { ::close(id); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int id;
};

std::vector<checkpoint::NamedPiece> make_pieces(int64_t bytes, int64_t tensors) {
  std::vector<checkpoint::NamedPiece> pieces;
  const int64_t columns = 64, rows = bytes / (tensors * columns * 4);
  for (int64_t i = 0; i < tensors; ++i) {
    const auto values = at::arange(rows * columns, at::kFloat).view({rows, columns}) + i;
    pieces.push_back({checkpoint::kMasterGroup,
                      {cat("w", i), {rows, columns}, {0, 0}, {rows, columns}},
                      values.contiguous()});
  }
  return pieces;
}

/// Pages of a file that stayed in memory would make reading free.
void forget_pages(const fs::path& path) {
  const Descriptor file(path, O_RDONLY);
  ::posix_fadvise(file.id, 0, 0, POSIX_FADV_DONTNEED);
}

double plain_write(const fs::path& path, const std::vector<checkpoint::NamedPiece>& all) {
  const Stopwatch clock;
  const Descriptor file(path, O_WRONLY | O_CREAT | O_TRUNC);
  for (const auto& piece : all) {
    const auto bytes = static_cast<ssize_t>(piece.data.nbytes());
    MT_CHECK(::write(file.id, piece.data.const_data_ptr(), piece.data.nbytes()) == bytes,
             "short write");
  }
  MT_CHECK(::fsync(file.id) == 0, "fsync");
  return clock.seconds();
}

double plain_read(const fs::path& path, const std::vector<checkpoint::NamedPiece>& all) {
  forget_pages(path);
  const Stopwatch clock;
  const Descriptor file(path, O_RDONLY);
  for (const auto& piece : all) {
    const at::Tensor to = at::empty_like(piece.data);
    const auto bytes = static_cast<ssize_t>(to.nbytes());
    MT_CHECK(::read(file.id, to.data_ptr(), to.nbytes()) == bytes, "short read");
  }
  return clock.seconds();
}

double save(const fs::path& dir, int64_t step,
            const std::vector<checkpoint::NamedPiece>& all) {
  const Stopwatch clock;
  Stopwatch part;
  checkpoint::CheckpointWriter writer(dir, step, 0, 1);
  writer.reserve(all);
  const double reserve = part.restart();
  writer.close();
  const double close = part.restart();
  writer.store(all);
  const double store = part.restart();
  const std::string summary = writer.finish();
  const double finish = part.restart();
  checkpoint::TrainingState state;
  state.step = step;
  checkpoint::commit(dir, step, {summary}, state, "");
  std::printf(
      "  layout %.3f s, its check %.3f s, bytes %.3f s, to disk and back %.3f s, "
      "commit %.3f s\n",
      reserve, close, store, finish, part.seconds());
  return clock.seconds();
}

double load(const fs::path& folder, const std::vector<checkpoint::NamedPiece>& all) {
  forget_pages(folder / "rank-00000.h5");
  const Stopwatch clock;
  const checkpoint::CheckpointReader reader(folder);
  for (const auto& piece : all) reader.group(checkpoint::kMasterGroup).read(piece.box);
  return clock.seconds();
}

double verify(const fs::path& folder) {
  forget_pages(folder / "rank-00000.h5");
  const Stopwatch clock;
  MT_CHECK(checkpoint::CheckpointReader(folder).verify(0, 1).empty(), "damaged");
  return clock.seconds();
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc != 4) throw Error("usage: checkpoint_bench FOLDER MIB TENSORS");
  const fs::path dir = fs::path(argv[1]) / "checkpoint-bench";
  fs::create_directories(dir);
  const auto pieces = make_pieces(std::atoll(argv[2]) << 20, std::atoll(argv[3]));
  double bytes = 0;
  for (const auto& piece : pieces) bytes += static_cast<double>(piece.data.nbytes());
  // The best of several rounds: the first ones pay for memory the kernel has not used
  // yet.
  constexpr int kRounds = 6;
  std::map<std::string, double> best;
  const auto keep = [&](const char* what, double seconds) {
    const auto found = best.try_emplace(what, seconds).first;
    found->second = std::min(found->second, seconds);
  };
  for (int64_t round = 1; round <= kRounds; ++round) {
    keep("plain write", plain_write(dir / "plain", pieces));
    keep("save", save(dir, round, pieces));
    const fs::path folder = dir / cat("checkpoint-", round);
    const auto read_plainly = [&] {
      keep("plain read", plain_read(dir / "plain", pieces));
    };
    // A virtual disk may be fast for its first bytes only; each goes first in its turn.
    if (round % 2 == 0) read_plainly();
    keep("load", load(folder, pieces));
    if (round % 2 != 0) read_plainly();
    keep("verify", verify(folder));
    fs::remove_all(folder);
  }
  for (const auto& [what, seconds] : best)
    std::printf("%-12s %7.3f s  %6.2f GB/s\n", what.c_str(), seconds,
                bytes / seconds / 1e9);
  std::printf("save at %.2f of a plain write, load at %.2f of a plain read\n",
              best["plain write"] / best["save"], best["plain read"] / best["load"]);
  fs::remove_all(dir);
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "checkpoint_bench: %s\n", error.what());
  return 1;
}
