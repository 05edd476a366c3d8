// One group of a checkpoint as a TensorSource over the boxes all ranks stored.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "manifest.hpp"
#include "mtrain/checkpoint/tensor_source.hpp"
#include "rank_file.hpp"

namespace mtrain::checkpoint {

/// Rank files by index, opened and checked at their first use.
class FileCache {
 public:
  /// `files` must outlive the cache.
  FileCache(std::filesystem::path folder, const std::vector<RankFile>& files)
      : folder_(std::move(folder)), files_(files) {}

  /// Valid until the next call.
  const OpenRankFile& open(size_t index);

 private:
  std::filesystem::path folder_;
  const std::vector<RankFile>& files_;
  std::map<size_t, OpenRankFile> open_;
};

class GroupSource : public TensorSource {
 public:
  GroupSource(std::string name, std::string folder, FileCache& files)
      : name_(std::move(name)), folder_(std::move(folder)), files_(files) {}

  /// Called for every box of the group before finish(); `stored` must outlive the source.
  /// Throws UserError when it does not agree with the tensor's other boxes.
  void add(size_t file, const StoredBox& stored);
  void finish();

  const std::vector<TensorInfo>& tensors() const override { return tensors_; }
  const TensorInfo* find(const std::string& name) const override;
  at::Tensor read(const parallel::Box& box) const override;
  void read_into(const parallel::Box& box, void* out) const override;

 private:
  struct Piece {
    size_t file;
    const StoredBox* stored;
  };

  /// Throws UserError unless the box belongs to a tensor of the group and is stored: so
  /// no memory is asked for that no file fills.
  const TensorInfo& require(const parallel::Box& box) const;
  void assemble(const parallel::Box& box, void* out) const;
  std::vector<parallel::Box> take(const Piece& piece,
                                  const std::vector<parallel::Box>& missing,
                                  const parallel::Box& box, void* out) const;

  std::string name_;
  std::string folder_;
  FileCache& files_;
  std::map<std::string, std::vector<Piece>> stored_;
  std::map<std::string, TensorInfo> infos_;
  std::vector<TensorInfo> tensors_;
};

}  // namespace mtrain::checkpoint
