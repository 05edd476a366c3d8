// Owns reading a token store: checks all of its structure when opened, then reads samples
// one by one. Called by the trainer and by mprep --show.
#include <algorithm>
#include <cstdio>
#include <limits>
#include <vector>

#include "h5_handle.hpp"
#include "mtrain/base/crc32c.hpp"
#include "mtrain/base/error.hpp"
#include "mtrain/data/token_store.hpp"
#include "token_store_fence.hpp"
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

StoreAttributes read_attributes(hid_t file, const std::string& path) {
  const auto format = read_string_attribute(file, path, store::kFormat, true);
  if (format != store::kFormatName)
    refuse_store(path, cat("attribute 'format' is '", format, "', not '",
                           store::kFormatName, "'"));
  const int64_t version = read_integer_attribute(file, path, store::kVersionAttribute);
  if (version != store::kVersion)
    refuse_store(path, cat("its version is ", version, ", this program reads version ",
                           store::kVersion));
  const auto stage = read_string_attribute(file, path, store::kStage, true);
  return {parse_stage(path, stage),
          read_string_attribute(file, path, store::kSourceHash, false)};
}

// Offsets of `name`, checked: from 0, never falling, ending at `end`.
std::vector<int64_t> read_offsets(hid_t file, const std::string& path, const char* name,
                                  int64_t end) {
  const FencedDataset data = open_fenced(file, path, name, sizeof(int64_t));
  if (data.size == 0) refuse_store(path, cat("dataset ", name, " is empty"));
  std::vector<int64_t> offsets(static_cast<size_t>(data.size));
  read_range(data, path, name, H5T_NATIVE_INT64, 0, data.size, offsets.data());
  if (offsets.front() != 0)
    refuse_store(path, cat(name, "[0] is ", offsets.front(), ", not 0"));
  const auto fall = std::adjacent_find(offsets.begin(), offsets.end(), std::greater<>());
  if (fall != offsets.end())
    refuse_store(path, cat(name, "[", fall - offsets.begin() + 1, "] is ", fall[1],
                           ", below the one before, ", fall[0]));
  if (offsets.back() != end)
    refuse_store(path, cat("the last of ", name, " is ", offsets.back(), ", not ", end));
  return offsets;
}

[[noreturn]] void refuse_value(const std::string& path, const char* name,
                               int64_t position, int32_t value) {
  refuse_store(path,
               cat(name, "[", position, "] is ", value,
                   name == store::kLabels ? ", neither an id nor -100" : ", negative"));
}

void check_ids(const std::string& path, int64_t first, const std::vector<int32_t>& ids) {
  for (size_t i = 0; i < ids.size(); ++i)
    if (ids[i] < 0)
      refuse_value(path, store::kInputIds, first + static_cast<int64_t>(i), ids[i]);
}

void check_labels(const std::string& path, int64_t first,
                  const std::vector<int32_t>& labels) {
  for (size_t i = 0; i < labels.size(); ++i)
    if (labels[i] < 0 && labels[i] != kIgnoreLabel)
      refuse_value(path, store::kLabels, first + static_cast<int64_t>(i), labels[i]);
}

template <class T>
uint32_t crc_of(uint32_t crc, const std::vector<T>& values) {
  return crc32c(crc, values.data(), values.size() * sizeof(T));
}

}  // namespace

struct TokenStoreReader::Impl {
  std::string path;
  H5Quiet quiet;
  H5Handle file;
  StoreAttributes attributes{};
  FencedDataset input_ids, labels;
  std::vector<int64_t> sample_offsets, row_offsets;

  explicit Impl(const std::string& path);
  std::vector<int32_t> read_ids(int64_t first, int64_t count) const;
  std::vector<int32_t> read_labels(int64_t first, int64_t count) const;
  std::pair<int64_t, int64_t> range(int64_t sample) const;
  /// Where nothing is packed: one, or a pair.
  int64_t samples_a_row() const { return attributes.stage == Stage::kDpo ? 2 : 1; }
};

TokenStoreReader::Impl::Impl(const std::string& path)
    : path(path), file(open_store_file(path)) {
  require_hard_links(file.get(), path);
  attributes = read_attributes(file.get(), path);
  input_ids = open_fenced(file.get(), path, store::kInputIds, sizeof(int32_t));
  labels = open_fenced(file.get(), path, store::kLabels, sizeof(int32_t));
  if (input_ids.size != labels.size)
    refuse_store(path, cat("input_ids has ", input_ids.size, " elements but labels has ",
                           labels.size));
  sample_offsets = read_offsets(file.get(), path, store::kSampleOffsets, input_ids.size);
  if (H5Lexists(file.get(), store::kRowOffsets, H5P_DEFAULT) > 0)
    row_offsets = read_offsets(file.get(), path, store::kRowOffsets,
                               static_cast<int64_t>(sample_offsets.size()) - 1);
  if (attributes.stage != Stage::kDpo) return;
  if (!row_offsets.empty()) refuse_store(path, "a store of pairs has row_offsets");
  if (sample_offsets.size() % 2 == 0)
    refuse_store(path, cat(sample_offsets.size() - 1, " samples do not make pairs"));
}

std::vector<int32_t> TokenStoreReader::Impl::read_ids(int64_t first,
                                                      int64_t count) const {
  std::vector<int32_t> ids(static_cast<size_t>(count));
  read_range(input_ids, path, store::kInputIds, H5T_NATIVE_INT32, first, count,
             ids.data());
  check_ids(path, first, ids);
  return ids;
}

std::vector<int32_t> TokenStoreReader::Impl::read_labels(int64_t first,
                                                         int64_t count) const {
  std::vector<int32_t> values(static_cast<size_t>(count));
  read_range(labels, path, store::kLabels, H5T_NATIVE_INT32, first, count, values.data());
  check_labels(path, first, values);
  return values;
}

std::pair<int64_t, int64_t> TokenStoreReader::Impl::range(int64_t sample) const {
  MT_CHECK(0 <= sample && sample + 1 < static_cast<int64_t>(sample_offsets.size()),
           "sample ", sample);
  const int64_t first = sample_offsets[static_cast<size_t>(sample)];
  return {first, sample_offsets[static_cast<size_t>(sample) + 1] - first};
}

TokenStoreReader::TokenStoreReader(const std::string& path) {
  probe_old_format(path, [&] { Impl trial(path); });
  impl_ = std::make_unique<Impl>(path);
}
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
  return impl_->input_ids.size;
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

bool TokenStoreReader::readable_by_threads() {
  hbool_t safe = 0;
  return H5is_library_threadsafe(&safe) >= 0 && safe;
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
  StoreScan result{-1, num_tokens(), 0, 0, {}};
  uint32_t ids_crc = 0, labels_crc = 0;
  int64_t sample = 0;
  bool counted = false;  // whether `sample` has a target already
  for (int64_t first = 0; first < num_tokens(); first += kScanElements) {
    const int64_t count = std::min(kScanElements, num_tokens() - first);
    const auto ids = impl_->read_ids(first, count);
    const auto labels = impl_->read_labels(first, count);
    ids_crc = crc_of(ids_crc, ids);
    labels_crc = crc_of(labels_crc, labels);
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
  const uint32_t division = crc_of(crc_of(0, impl_->sample_offsets), impl_->row_offsets);
  char text[32];
  std::snprintf(text, sizeof text, "%08x%08x%08x", ids_crc, labels_crc, division);
  result.content = text;
  return result;
}

}  // namespace mtrain::data
