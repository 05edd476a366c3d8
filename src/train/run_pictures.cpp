// Draws the pictures of a run; RunLog calls it when the deck asks for them.
#include "run_pictures.hpp"

#include <nlohmann/json.hpp>
#include <sstream>

#include "mtrain/base/file.hpp"
#include "mtrain/base/text.hpp"

namespace mtrain::train {
namespace {

using Json = nlohmann::json;

/// The number under `key`; nothing where it is missing or was not finite.
std::optional<double> number(const Json& line, const char* key) {
  const auto found = line.find(key);
  if (found == line.end() || !found->is_number()) return {};
  return found->get<double>();
}

report::LossCurve read_curve(const std::filesystem::path& log) {
  report::LossCurve curve;
  std::istringstream in(read_text(File::open_to_read(log), kLongestLog));
  for (std::string text; std::getline(in, text);) {
    const Json line = Json::parse(text, nullptr, false);
    if (!line.is_object()) continue;
    const double step = line.value("current_steps", 0.0);
    if (const auto loss = number(line, "loss")) curve.training.push_back({step, *loss});
    if (const auto loss = number(line, "eval_loss"))
      curve.evaluation.push_back({step, *loss});
  }
  return curve;
}

}  // namespace

void draw_pictures(const std::filesystem::path& output_dir,
                   const std::optional<RouterReport>& router) {
  report::LossCurve curve = read_curve(output_dir / "trainer_log.jsonl");
  curve.title = cat("training loss of ", output_dir.filename().string());
  if (!curve.training.empty())
    write_file_atomically(output_dir / "training_loss.svg", report::loss_picture(curve));
  if (!router) return;
  const std::string title = cat("load of experts, ", output_dir.filename().string());
  write_file_atomically(output_dir / "moe_load.svg",
                        report::load_picture(title, router->loads));
}

}  // namespace mtrain::train
