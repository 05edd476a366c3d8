#!/usr/bin/env bash
# Runs the benchmarks of a build folder: operators, then whole steps beside transformers where PYTHON
# (default: python3) has it. For figures that can be compared, let nothing else run.
set -euo pipefail
folder=$(realpath "${1:?usage: tests/bench/run.sh BUILD_FOLDER}")
here=$(dirname "$(realpath "$0")")
python=${PYTHON:-python3}

"$folder/tests/bench/kernels_bench"
figures=$("$folder/tests/bench/train_bench" "$here/cases.json")
theirs=$("$python" -B "$here/hf_bench.py" "$here/cases.json") ||
  echo "transformers was not measured: PYTHON=... names an interpreter that has torch and transformers"
printf '%s\n' "$figures" ${theirs:+"$theirs"} | python3 -B "$here/compare.py" "$here/cases.json"
