#!/usr/bin/env bash
# Tokens per second of mprep beside HF tokenizers + datasets, one core each, the same job: LLaMA-Factory
# alpaca records through the qwen3 template into ids and labels. PYTHON names an interpreter that has
# `tokenizers` and `datasets`; MODEL a folder with a tokenizer.json.
#   PYTHON=venv/bin/python MODEL=folder tests/bench/prepare_bench.sh BUILD_FOLDER
set -euo pipefail
build=$(realpath "${1:?usage: tests/bench/prepare_bench.sh BUILD_FOLDER}")
here=$(dirname "$(realpath "$0")")
model=$(realpath "${MODEL:?MODEL=folder with a tokenizer.json}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

python3 -B "$here/prepare_data.py" "$work" "${RECORDS:-20000}"
cat > "$work/deck.ini" << DECK
model_config = $model/config.json
dataset_dir = $work
dataset = bench
template = qwen3
cutoff_len = 2048
tokenized_path = $work/tokens.h5
DECK
TIMEFORMAT='%U s in the program, %S s in the system, %R s in all'
time OMP_NUM_THREADS=1 taskset -c 0 "$build/bin/mprep" "$work/deck.ini"
time HF_DATASETS_DISABLE_PROGRESS_BARS=1 RAYON_NUM_THREADS=1 TOKENIZERS_PARALLELISM=false HF_DATASETS_CACHE="$work/cache" HF_HUB_OFFLINE=1 \
  taskset -c 0 "${PYTHON:-python3}" -B "$here/hf_prepare.py" "$model/tokenizer.json" "$work/bench.jsonl"
