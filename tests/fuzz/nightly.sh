#!/bin/sh
# Fuzzes every parser of files from outside with libFuzzer, under address and undefined-behaviour
# sanitizers: `tests/fuzz/nightly.sh [RUNS [TARGET ...]]`. RUNS for each target, 10 million unless
# given. Builds with clang into build-fuzz; the corpus grows in build-fuzz/corpus. An input that
# crashes, hangs, or takes more memory than targets.hpp allows is left in build-fuzz/findings, and
# the script ends with 1.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
build=$root/build-fuzz
runs=${1:-10000000}
[ $# -eq 0 ] || shift

program_of() {
  case $1 in
    deck_*) echo fuzz_config ;;
    manifest | rank_file | safetensors) echo fuzz_checkpoint ;;
    *) echo fuzz_data ;;
  esac
}

[ $# -gt 0 ] || set -- store manifest rank_file safetensors tokenizer tokenizer_config deck_ini \
  deck_yaml records_json records_jsonl records_csv records_sharegpt records_openai

cmake -S "$root" -B "$build" -G Ninja -DCMAKE_CXX_COMPILER=clang++ -DMTRAIN_FUZZ=ON >"$build.log"
ninja -C "$build" fuzz_config fuzz_data fuzz_checkpoint >>"$build.log"
failed=0
for target; do
  corpus=$build/corpus/$target
  mkdir -p "$corpus" "$build/findings"
  echo "== $target: $runs runs"
  ASAN_OPTIONS=detect_leaks=0 MTRAIN_FUZZ_TARGET=$target MTRAIN_FUZZ_SEEDS=$corpus \
    "$build/tests/fuzz/$(program_of "$target")" -runs="$runs" -max_len=65536 -timeout=20 \
    -malloc_limit_mb=512 -rss_limit_mb=4096 -verbosity=0 -print_final_stats=1 \
    -artifact_prefix="$build/findings/$target-" "$corpus" || failed=1
done
exit $failed
