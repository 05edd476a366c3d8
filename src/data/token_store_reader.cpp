// Owns reading a token store: checks all of its structure when opened, then reads samples
// one by one. Called by the trainer and by mprep --show.
#include <algorithm>
#include <optional>
#include <vector>

#include "file_identity.hpp"
#include "mtrain/base/error.hpp"
#include "mtrain/data/content_hash.hpp"
#include "mtrain/data/token_store.hpp"
#include "token_store_array.hpp"
#include "token_store_format.hpp"

namespace mtrain::data {
namespace {

constexpr int64_t kScanElements = 1 << 20;

Stage parse_stage(const std::string& path, const std::string& word) {
  const auto& names = store::kStageNames;
  const auto found = std::find(names.begin(), names.end(), word);
  if (found == names.end())
    refuse_store(path, cat("attribute 'stage' is '", word, "', not pt, sft or dpo"));
  return static_cast<Stage>(found - names.begin());
}

StoreAttributes read_attributes(StoreFile& file) {
  const std::string& path = file.path();
  const auto format = file.string_attribute(store::kFormat, true);
  if (format != store::kFormatName)
    refuse_store(path, cat("attribute 'format' is '", format, "', not '",
                           store::kFormatName, "'"));
  const int64_t version = file.integer_attribute(store::kVersionAttribute);
  if (version != store::kVersion)
    refuse_store(path, cat("its version is ", version, ", this program reads version ",
                           store::kVersion));
  const auto stage = file.string_attribute(store::kStage, true);
  return {parse_stage(path, stage), file.string_attribute(store::kSourceHash, false)};
}

// Offsets are checked: from 0, never falling, ending at `end`.
void check_offsets(const std::string& path, const char* name,
                   const std::vector<int64_t>& offsets, int64_t end) {
  if (offsets.empty()) refuse_store(path, cat("dataset ", name, " is empty"));
  if (offsets.front() != 0)
    refuse_store(path, cat(name, "[0] is ", offsets.front(), ", not 0"));
  const auto fall = std::adjacent_find(offsets.begin(), offsets.end(), std::greater<>());
  if (fall != offsets.end())
    refuse_store(path, cat(name, "[", fall - offsets.begin() + 1, "] is ", fall[1],
                           ", below the one before, ", fall[0]));
  if (offsets.back() != end)
    refuse_store(path, cat("the last of ", name, " is ", offsets.back(), ", not ", end));
}

// Gives each array its sums, where the file has them.
bool read_checksums(StoreFile& file, const std::vector<StoreArray*>& arrays) {
  if (!file.has_attribute(store::kPieceBytes)) return false;
  const std::string& path = file.path();
  const int64_t bytes = file.integer_attribute(store::kPieceBytes);
  if (bytes < 8 || bytes > store::kLongestPiece || bytes % 8 != 0)
    refuse_store(path, cat("attribute '", store::kPieceBytes, "' is ", bytes,
                           ", not a multiple of 8 up to ", store::kLongestPiece));
  const auto sums =
      StoreArray(file, store::kChecksums, sizeof(int64_t)).read_all<int64_t>();
  int64_t pieces = 0;
  for (const StoreArray* array : arrays) pieces += array->pieces(bytes);
  if (pieces != static_cast<int64_t>(sums.size()))
    refuse_store(path, cat("dataset ", store::kChecksums, " has ", sums.size(),
                           " elements for ", pieces, " pieces"));
  auto next = sums.begin();
  for (StoreArray* array : arrays) {
    const auto end = next + array->pieces(bytes);
    array->check_against({next, end}, bytes);
    next = end;
  }
  return true;
}

[[noreturn]] void refuse_value(const std::string& path, const StoreArray& array,
                               int64_t position, int32_t value, int64_t limit) {
  const std::string why =
      value >= limit
          ? cat(", beyond the model's vocabulary of ", limit)
          : (array.name() == store::kLabels ? ", neither an id nor -100" : ", negative");
  refuse_store(path, cat(array.name(), "[", position, "] is ", value, why));
}

}  // namespace

struct TokenStoreReader::Impl {
  std::string path;
  StoreFile file;
  FileIdentity opened{};
  StoreAttributes attributes{};
  StoreArray input_ids, labels;
  bool checked = false;  ///< against checksums
  int64_t limit = int64_t{1} << 31;
  std::vector<int64_t> sample_offsets, row_offsets;

  explicit Impl(const std::string& path);
  void read_structure();
  std::string text(const StoreArray& array) const;
  FileIdentity identity() const;
  void require_unchanged() const;
  std::vector<int32_t> read(const StoreArray& array, int64_t first, int64_t count,
                            int32_t also) const;
  std::vector<int32_t> read_ids(int64_t first, int64_t count) const {
    return read(input_ids, first, count, 0);
  }
  std::vector<int32_t> read_labels(int64_t first, int64_t count) const {
    return read(labels, first, count, kIgnoreLabel);
  }
  std::pair<int64_t, int64_t> range(int64_t sample) const;
  /// Where nothing is packed: one, or a pair.
  int64_t samples_a_row() const { return attributes.stage == Stage::kDpo ? 2 : 1; }
};

TokenStoreReader::Impl::Impl(const std::string& path)
    : path(path),
      file(path),
      opened(identity()),
      attributes(read_attributes(file)),
      input_ids(file, store::kInputIds, sizeof(int32_t)),
      labels(file, store::kLabels, sizeof(int32_t)) {
  if (input_ids.size() != labels.size())
    refuse_store(path, cat("input_ids has ", input_ids.size(),
                           " elements but labels has ", labels.size()));
  read_structure();
  if (attributes.stage != Stage::kDpo) return;
  if (!row_offsets.empty()) refuse_store(path, "a store of pairs has row_offsets");
  if (sample_offsets.size() % 2 == 0)
    refuse_store(path, cat(sample_offsets.size() - 1, " samples do not make pairs"));
}

// All but tokens and labels.
void TokenStoreReader::Impl::read_structure() {
  const auto open = [&](const char* name, size_t element) {
    std::optional<StoreArray> array;
    if (file.has_dataset(name)) array.emplace(file, name, element);
    return array;
  };
  StoreArray samples(file, store::kSampleOffsets, sizeof(int64_t));
  auto rows = open(store::kRowOffsets, sizeof(int64_t));
  auto settings = open(store::kSettings, 1);
  std::vector<StoreArray*> arrays = {&input_ids, &labels, &samples};
  for (auto* array : {&rows, &settings})
    if (*array) arrays.push_back(&**array);
  checked = read_checksums(file, arrays);
  sample_offsets = samples.read_all<int64_t>();
  check_offsets(path, samples.name(), sample_offsets, input_ids.size());
  if (rows) {
    row_offsets = rows->read_all<int64_t>();
    check_offsets(path, rows->name(), row_offsets,
                  static_cast<int64_t>(sample_offsets.size()) - 1);
  }
  if (settings) attributes.settings = text(*settings);
}

std::string TokenStoreReader::Impl::text(const StoreArray& array) const {
  if (array.size() > store::kLongestSettings)
    refuse_store(path, cat("dataset ", array.name(), " is too long"));
  const auto bytes = array.read_all<char>();
  return {bytes.begin(), bytes.end()};
}

FileIdentity TokenStoreReader::Impl::identity() const {
  return identity_of(file.descriptor(), path);
}

// Where there are checksums they tell what a write did, so a new time alone is no fault.
void TokenStoreReader::Impl::require_unchanged() const {
  const FileIdentity now = identity();
  if (now.bytes == opened.bytes && (checked || now.written_ns == opened.written_ns))
    return;
  refuse_store(path, cat("changed while it is read: ", difference(opened, now)));
}

// Values are ids below the limit, or `also`.
std::vector<int32_t> TokenStoreReader::Impl::read(const StoreArray& array, int64_t first,
                                                  int64_t count, int32_t also) const {
  std::vector<int32_t> values(static_cast<size_t>(count));
  require_unchanged();
  array.read(first, count, values.data());
  require_unchanged();
  for (size_t i = 0; i < values.size(); ++i)
    if ((values[i] < 0 && values[i] != also) || values[i] >= limit)
      refuse_value(path, array, first + static_cast<int64_t>(i), values[i], limit);
  return values;
}

std::pair<int64_t, int64_t> TokenStoreReader::Impl::range(int64_t sample) const {
  MT_CHECK(0 <= sample && sample + 1 < static_cast<int64_t>(sample_offsets.size()),
           "sample ", sample);
  const int64_t first = sample_offsets[static_cast<size_t>(sample)];
  return {first, sample_offsets[static_cast<size_t>(sample) + 1] - first};
}

TokenStoreReader::TokenStoreReader(const std::string& path)
    : impl_(std::make_unique<Impl>(path)) {}
TokenStoreReader::~TokenStoreReader() = default;
TokenStoreReader::TokenStoreReader(TokenStoreReader&&) noexcept = default;
TokenStoreReader& TokenStoreReader::operator=(TokenStoreReader&&) noexcept = default;

const StoreAttributes& TokenStoreReader::attributes() const {
  return impl_->attributes;
}
const std::string& TokenStoreReader::path() const {
  return impl_->path;
}
int64_t TokenStoreReader::num_samples() const {
  return static_cast<int64_t>(impl_->sample_offsets.size()) - 1;
}
int64_t TokenStoreReader::num_tokens() const {
  return impl_->input_ids.size();
}
bool TokenStoreReader::has_checksums() const {
  return impl_->checked;
}
void TokenStoreReader::limit_ids(int64_t vocab_size) {
  impl_->limit = vocab_size;
}

std::string TokenStoreReader::content_id() const {
  ContentHash hash;
  hash.add(store::kStageNames[static_cast<size_t>(attributes().stage)]);
  const auto add = [&](const auto& values) {
    hash.add(
        {reinterpret_cast<const char*>(values.data()), values.size() * sizeof values[0]});
  };
  add(impl_->input_ids.sums(store::kPiece));
  add(impl_->labels.sums(store::kPiece));
  add(impl_->sample_offsets);
  add(impl_->row_offsets);
  return hash.hex();
}
int64_t TokenStoreReader::sample_length(int64_t i) const {
  return impl_->range(i).second;
}

int64_t TokenStoreReader::max_sample_length() const {
  int64_t longest = 0;
  for (int64_t i = 0; i < num_samples(); ++i)
    longest = std::max(longest, sample_length(i));
  return longest;
}

Sample TokenStoreReader::read(int64_t i) const {
  const auto [first, count] = impl_->range(i);
  return {impl_->read_ids(first, count), impl_->read_labels(first, count)};
}

int64_t TokenStoreReader::trained_positions(int64_t i) const {
  const auto [first, count] = impl_->range(i);
  return data::trained_positions(impl_->read_labels(first, count));
}

bool TokenStoreReader::packed() const {
  return !impl_->row_offsets.empty();
}
int64_t TokenStoreReader::num_rows() const {
  if (packed()) return static_cast<int64_t>(impl_->row_offsets.size()) - 1;
  return num_samples() / impl_->samples_a_row();
}

std::pair<int64_t, int64_t> TokenStoreReader::row_samples(int64_t r) const {
  MT_CHECK(0 <= r && r < num_rows(), "row ", r);
  const int64_t each = impl_->samples_a_row();
  if (!packed()) return {r * each, (r + 1) * each};
  const auto row = static_cast<size_t>(r);
  return {impl_->row_offsets[row], impl_->row_offsets[row + 1]};
}

StoreScan TokenStoreReader::scan() const {
  StoreScan result{-1, num_tokens(), 0, 0};
  int64_t sample = 0;
  bool counted = false;  // whether `sample` has a target already
  for (int64_t first = 0; first < num_tokens(); first += kScanElements) {
    const int64_t count = std::min(kScanElements, num_tokens() - first);
    const auto ids = impl_->read_ids(first, count);
    const auto labels = impl_->read_labels(first, count);
    result.max_token_id =
        std::max({result.max_token_id, *std::max_element(ids.begin(), ids.end()),
                  *std::max_element(labels.begin(), labels.end())});
    for (int64_t i = 0; i < count; ++i) {
      for (; impl_->sample_offsets[static_cast<size_t>(sample) + 1] <= first + i;
           ++sample)
        counted = false;
      const bool is_first =
          impl_->sample_offsets[static_cast<size_t>(sample)] == first + i;
      if (is_first || labels[static_cast<size_t>(i)] == kIgnoreLabel) continue;
      ++result.trained_positions;
      result.trainable_samples += counted ? 0 : 1;
      counted = true;
    }
  }
  return result;
}

}  // namespace mtrain::data
