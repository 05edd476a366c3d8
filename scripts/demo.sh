#!/usr/bin/env bash
# make demo: trains a small Qwen3 on 4 ranks, converts the checkpoint to Hugging Face format and
# evaluates the converted model on one rank; both must give the same held-out loss.
set -euo pipefail
cd "$(dirname "$0")/.."
readonly kOut=demo-output
readonly kSteps=400

run() {
  printf '\n\033[1m$ %s\033[0m\n' "$*"
  "$@"
}

# The resolved deck is long; here the lines a person watches are enough.
watch() { grep --line-buffered -E '^([0-9:]{8}  )?(data:?|model|layout|steps|step|evaluation|checkpoint|Hugging) '; }

# eval_loss of the first or last evaluation in a log: eval_loss FILE head|tail
eval_loss() { grep -o '"eval_loss":[0-9.e-]*' "$1" | cut -d: -f2 | "$2" -n 1; }

rm -rf "$kOut"
printf '\033[1m$ mpirun -np 4 ./mtrain inputs/demo.ini\033[0m\n'
scripts/local_mpirun -np 4 ./mtrain inputs/demo.ini max_steps=$kSteps 2>&1 | tee "$kOut.log" | watch
mv "$kOut.log" "$kOut/console.log"

run ./mconvert verify "$kOut/checkpoint-$kSteps"
run ./mconvert to-hf "$kOut/checkpoint-$kSteps" "$kOut/hf"
printf '\n\033[1m$ ./mtrain inputs/demo.ini model_name_or_path=%s do_train=false ...\033[0m\n' "$kOut/hf"
./mtrain inputs/demo.ini model_name_or_path="$kOut/hf" model_config= do_train=false \
  tensor_model_parallel_size=1 pipeline_model_parallel_size=1 sequence_parallel=false \
  overlap_p2p_comm=false output_dir="$kOut/evaluation" | watch

before=$(eval_loss "$kOut/trainer_log.jsonl" head)
after=$(eval_loss "$kOut/trainer_log.jsonl" tail)
reloaded=$(eval_loss "$kOut/evaluation/trainer_log.jsonl" tail)
awk -v before="$before" -v after="$after" -v reloaded="$reloaded" -v out="$kOut" -v steps=$kSteps '
  function abs(x) { return x < 0 ? -x : x }
  BEGIN {
    printf "\n  held-out loss before training        %.4f\n", before
    printf "  held-out loss after %d steps        %.4f\n", steps, after
    printf "  the same, Hugging Face model, 1 rank %.4f\n\n", reloaded
    printf "  checkpoint           %s/checkpoint-%d\n", out, steps
    printf "  Hugging Face model   %s/hf\n", out
    printf "  log                  %s/trainer_log.jsonl\n\n", out
    if (after > 0.5 * before) { print "demo failed: the loss did not fall"; exit 1 }
    if (abs(after / reloaded - 1) > 1e-5) { print "demo failed: the losses differ"; exit 1 }
  }'
