// Owns the text of docs/coming-from.md; printed by mtrain --dump-coming-from.
#include <algorithm>
#include <map>

#include "aliases.hpp"
#include "key_table.hpp"
#include "known_names.hpp"
#include "markdown.hpp"

namespace mtrain::config {

namespace {

const char* const kIntroduction = R"(# Coming from LLaMA-Factory or Megatron-LM

<!-- Written by `mtrain --dump-coming-from > docs/coming-from.md`: edit src/config/ instead. -->

A flat YAML of LLaMA-Factory's Megatron path (`USE_MCA=1`) is a deck as it is:

| there | here |
|---|---|
| `USE_MCA=1 llamafactory-cli train run.yaml` on 8 GPUs | `mpirun -np 8 ./mtrain run.yaml` |
| `torchrun --nnodes 4 --nproc-per-node 8 ...` | `srun --mpi=pmix ./mtrain run.yaml`, see [slurm.md](slurm.md) |
| a model name of the hub | a local folder with the model's files; nothing is downloaded |
| `scripts/megatron_merge.py` | nothing: the end of a run writes Hugging Face files; else `mconvert to-hf` |
| `tokenized_path`, a folder of Arrow files | `tokenized_path`, one HDF5 file that `mprep` writes |

What the same YAML does differently, on purpose; `compat = mca` takes the first three back:

* Samples are shuffled (there never, unless `val_size` or streaming shuffles once).
* The loss is the mean over all trained tokens of a step (there a mean of micro-batches' means, which depends
  on the batch layout).
* No sample is padded to `cutoff_len` (there each one with expert parallelism).
* `finetuning_type` other than `full` is refused (there ignored: all weights are trained).
* Expert parallelism does not multiply the number of ranks: world = tp * cp * pp * dp, and the experts are
  spread over the dp * cp ranks of a stage (with `expert_tensor_parallel_size = 1` over tp, too).
* No key is ignored without a word: it is honoured, refused with what to write instead, or named in a warning.

## Every name

*same*: a key of [deck.md](deck.md), with a note where its default differs. *means*: translated. *refused*:
unless it asks for nothing (`false`, `null`, `0`). *no effect*: accepted with a warning. `neither` stands
behind keys that only mtrain has. The names are those of )";

/// Keys that neither LLaMA-Factory, nor its trainer, nor Megatron-LM has.
const char* const kOwnKeys =
    "accept_changes async_save attention_backend backend balance_micro_batches compat "
    "compat_version deterministic device dtype hang_timeout init_seed log_per_rank "
    "loss_average max_nonfinite_steps max_time model_config on_nonfinite_step "
    "profile_step pt_packing ref_log_probs shuffle skip_malformed";

std::string key_cell(const Key& key) {
  const std::string what = is_own(key.name) ? "neither: " + key.meaning : "same";
  return key.note.empty() ? what : cat(what, "; ", key.note);
}

std::string group_cell(const NameGroup& group) {
  const bool refused = group.effect == NameGroup::Effect::kRefused;
  const std::string also =
      group.harmless.empty() ? "" : cat(" (but for `", group.harmless, "`)");
  return cat(refused ? "refused" : "no effect", also, ": ", group.reason);
}

}  // namespace

bool is_own(const std::string& key) {
  const std::vector<std::string> own = split(kOwnKeys, ' ');
  return std::find(own.begin(), own.end(), key) != own.end();
}

std::string coming_from_markdown() {
  std::map<std::string, std::string> rows;
  for (const Key& key : all_keys()) rows[key.name] = key_cell(key);
  for (const Alias& alias : all_aliases()) rows[alias.name] = alias.meaning;
  for (const NameGroup& group : all_name_groups())
    for (const std::string& name : split(group.names, ' '))
      rows[name] = group_cell(group);
  for (const ReferenceNames& reference : all_reference_names())
    for (const std::string& name : split(reference.names, ' '))
      rows.emplace(name, "refused: remove it");
  std::string out =
      cat(kIntroduction, known_versions(), ".\n\n| name | here |\n|---|---|\n");
  for (const auto& [name, what] : rows)
    out += cat("| `", name, "` | ", table_cell(what), " |\n");
  return out;
}

}  // namespace mtrain::config
