// The reading side of rank files; called by CheckpointReader and, after writing, by the
// writer.
#include "rank_file.hpp"

#include <algorithm>

#include "box_copy.hpp"
#include "dtype.hpp"
#include "mtrain/base/crc32c.hpp"
#include "mtrain/base/error.hpp"

namespace mtrain::checkpoint {
namespace {

constexpr int64_t kBufferBytes = 1 << 20;

/// Feeds bytes [begin, end) of the file to the CRC.
uint32_t crc_of_range(const File& file, int64_t begin, int64_t end, uint32_t crc) {
  std::vector<char> buffer(
      static_cast<size_t>(std::min(kBufferBytes, std::max<int64_t>(end - begin, 0))));
  while (begin < end) {
    const auto count =
        static_cast<size_t>(std::min(end - begin, static_cast<int64_t>(buffer.size())));
    file.read_at(begin, buffer.data(), count);
    crc = crc32c(crc, buffer.data(), count);
    begin += static_cast<int64_t>(count);
  }
  return crc;
}

}  // namespace

uint32_t structure_crc(const File& file, const std::vector<StoredBox>& boxes) {
  uint32_t crc = 0;
  int64_t at = 0;
  for (const StoredBox& stored : boxes) {
    crc = crc_of_range(file, at, stored.position, crc);
    at = stored.position + stored.bytes();
  }
  return crc_of_range(file, at, file.size(), crc);
}

uint32_t crc_of(const File& file, const StoredBox& stored) {
  return crc_of_range(file, stored.position, stored.position + stored.bytes(), 0);
}

OpenRankFile::OpenRankFile(const std::filesystem::path& folder, const RankFile& expected)
    : file_(File::open_to_read(folder / expected.name())) {
  const std::string path = file_.path().string();
  const char* remedy = "use another checkpoint; this file was damaged or exchanged";
  if (file_.size() != expected.bytes)
    throw UserError(
        cat(path, " has ", file_.size(), " bytes, the manifest says ", expected.bytes),
        remedy);
  // First of all: the bytes that are parsed next are those once written.
  if (structure_crc(file_, expected.boxes) != expected.structure_crc)
    throw UserError(cat(path, ": the file's structure does not match its checksum"),
                    remedy);
  try {
    check_structure(file_, expected);
  } catch (const Error& fault) {
    throw UserError(cat(path, ": ", fault.what()), remedy);
  }
}

void OpenRankFile::read(const StoredBox& stored, const parallel::Box& part,
                        const parallel::Box& to, void* to_data) const {
  read_box(part, stored.box, file_, stored.position, to, to_data,
           dtype_size(stored.dtype));
}

uint32_t OpenRankFile::crc(const StoredBox& stored) const {
  return crc_of(file_, stored);
}

}  // namespace mtrain::checkpoint
