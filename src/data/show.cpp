// Owns the table of one sample for people; called by mprep --show.
#include <iomanip>
#include <sstream>

#include "mtrain/base/json.hpp"
#include "mtrain/data/prepare.hpp"

namespace mtrain::data {

std::string show(const Tokenizer& tokenizer, const Sample& sample) {
  std::ostringstream out;
  const auto length = static_cast<int64_t>(sample.input_ids.size());
  const int64_t trained = trained_positions(sample.labels);
  out << length << " tokens, " << trained << " trained\n"
      << "position      id   label  text\n";
  for (size_t i = 0; i < sample.input_ids.size(); ++i) {
    const int32_t id = sample.input_ids[i];
    const int32_t label = sample.labels[i];
    const std::string piece = tokenizer.decode({&id, 1}, SpecialTokens::kKeep);
    out << std::setw(8) << i << std::setw(8) << id << std::setw(8)
        << (label == kIgnoreLabel ? "masked" : std::to_string(label)) << "  "
        << Json(piece).dump() << '\n';
  }
  return out.str();
}

}  // namespace mtrain::data
