#!/usr/bin/env bash
# Converts a random model of about 4 GB to a checkpoint and back, and prints GB/s beside cp
# and the largest memory of a rank. convert_bench.sh BUILD_FOLDER SCRATCH_FOLDER [RANKS [LAYERS]]
set -eu
build=$(realpath "$1") scratch=$2/convert-bench ranks=${3:-1} layers=${4:-37}
root=$(realpath "$(dirname "$0")/../..")
rm -rf "$scratch" && mkdir -p "$scratch/hf" && cd "$scratch"

"${PYTHON:-python3}" - "$layers" <<'PYTHON_END'
import json, os, struct, sys
layers, hidden, inner, heads, kv, vocab = int(sys.argv[1]), 2048, 6144, 16, 8, 65536
config = {"architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "hidden_act": "silu",
          "hidden_size": hidden, "intermediate_size": inner, "num_hidden_layers": layers,
          "num_attention_heads": heads, "num_key_value_heads": kv, "head_dim": 128,
          "vocab_size": vocab, "rms_norm_eps": 1e-6, "rope_theta": 1e6, "initializer_range": 0.02,
          "max_position_embeddings": 4096, "tie_word_embeddings": True, "torch_dtype": "bfloat16"}
with open("hf/config.json", "w", encoding="utf-8") as f:
    json.dump(config, f)
shapes = {"model.embed_tokens.weight": [vocab, hidden], "model.norm.weight": [hidden]}
for i in range(layers):
    block = {"input_layernorm": [hidden], "post_attention_layernorm": [hidden],
             "self_attn.q_proj": [heads * 128, hidden], "self_attn.k_proj": [kv * 128, hidden],
             "self_attn.v_proj": [kv * 128, hidden], "self_attn.o_proj": [hidden, heads * 128],
             "self_attn.q_norm": [128], "self_attn.k_norm": [128],
             "mlp.gate_proj": [inner, hidden], "mlp.up_proj": [inner, hidden],
             "mlp.down_proj": [hidden, inner]}
    shapes.update({f"model.layers.{i}.{name}.weight": shape for name, shape in block.items()})
header, end = {}, 0
for name, shape in shapes.items():
    size = 2 * shape[0] * (shape[1] if len(shape) > 1 else 1)
    header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [end, end + size]}
    end += size
text = json.dumps(header).encode()
with open("hf/model.safetensors", "wb") as f:
    f.write(struct.pack("<Q", len(text)) + text)
    while end > 0:
        f.write(os.urandom(min(end, 1 << 24)))
        end -= 1 << 24
PYTHON_END

bytes=$(stat -c %s hf/model.safetensors)
now() { date +%s.%N; }
# timed WHAT COMMAND...: everything is on disk before and after.
timed() {
  local what=$1 start; shift
  sync
  start=$(now)
  "$@" > log 2>&1 || { cat log; exit 1; }
  sync
  awk -v what="$what" -v bytes="$bytes" -v seconds="$(awk "BEGIN{print $(now) - $start}")" \
    'BEGIN {printf "%-8s %6.2f s  %5.2f GB/s\n", what, seconds, bytes / seconds / 1e9}'
}
run() { "$root/scripts/local_mpirun" -np "$ranks" /usr/bin/env time -f "peak %M KiB" "$@"; }
echo "$bytes bytes, $ranks ranks"
# Each step right behind a copy of what it reads; the first round only makes the kernel touch
# the memory it keeps files in.
for round in 1 2; do
  timed cp cp hf/model.safetensors copy
  rm copy
  timed from-hf run "$build/bin/mconvert" from-hf hf checkpoint
  grep peak log
  timed cp sh -c "cat checkpoint/*.h5 > copy"
  rm copy
  timed to-hf run "$build/bin/mconvert" to-hf checkpoint back
  grep peak log
  [ "$round" = 2 ] || rm -rf checkpoint back
done
"$build/bin/mconvert" diff hf back
rm -rf "$scratch"
