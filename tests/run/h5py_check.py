#!/usr/bin/env python3
"""The lines of docs/checkpoint.md read a checkpoint with h5py.

Usage: h5py_check.py BUILD_FOLDER. Ends with 77 (skipped) where h5py is missing.
"""
import glob
import json
import os
import re
import shutil
import struct
import subprocess
import sys

try:
    import h5py
    import numpy as np
except ImportError as missing:
    print(f"skipped: {missing} (pip install h5py)")
    sys.exit(77)

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
GOLDEN = os.path.join(ROOT, "tests/golden/data")


def safetensors(folder):
    """name -> float32 array, by the format's description."""
    tensors = {}
    for path in glob.glob(f"{folder}/*.safetensors"):
        with open(path, "rb") as f:
            header = json.loads(f.read(struct.unpack("<Q", f.read(8))[0]))
            data = f.read()
        for name, info in header.items():
            if name == "__metadata__":
                continue
            begin, end = info["data_offsets"]
            if info["dtype"] == "BF16":
                bits = np.frombuffer(data[begin:end], "<u2").astype(np.uint32) << 16
                flat = bits.view(np.float32)
            else:
                flat = np.frombuffer(data[begin:end], "<f4")
            tensors[name] = flat.reshape(info["shape"])
    return tensors


def run(build, ranks, program, *arguments):
    command = [os.path.join(ROOT, "scripts/local_mpirun"), "-np", str(ranks),
               os.path.join(build, "bin", program), *arguments]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        sys.exit(f"{command}:\n{result.stdout}{result.stderr}")


def compare(read_tensor, checkpoint, group, weights):
    for name, expected in weights.items():
        found = read_tensor(checkpoint, group, name)
        assert found is not None and np.array_equal(found, expected), f"{checkpoint}: {name}"
    print(f"ok   {checkpoint}: {len(weights)} tensors of group {group}")


def main():
    build = os.path.abspath(sys.argv[1])
    scratch = os.path.join(build, "test-scratch/h5py")
    shutil.rmtree(scratch, ignore_errors=True)
    os.makedirs(scratch)
    with open(os.path.join(ROOT, "docs/checkpoint.md"), encoding="utf-8") as f:
        code = re.search(r"```python\n(.*?)```", f.read(), re.S).group(1)
    scope = {}
    exec(code, scope)
    # Weights only, by two ranks, in fp32 and bf16.
    for model in ("tiny-qwen3", "tiny-qwen3-untied-bf16"):
        folder = f"{scratch}/{model}"
        run(build, 2, "mconvert", "from-hf", f"{GOLDEN}/models/{model}", folder)
        compare(scope["read_tensor"], folder, "weights",
                safetensors(f"{GOLDEN}/models/{model}"))
    # Training state of a layout that cuts rows and columns, against the model it exports.
    with h5py.File(f"{scratch}/tokens.h5", "w", libver="latest") as f:
        f.attrs.update({"format": "mtrain-tokens", "version": 1, "stage": "pt", "source_hash": ""})
        f["input_ids"] = f["labels"] = np.arange(256, dtype=np.int32) % 100
        f["sample_offsets"] = np.arange(0, 257, 16)
    open(f"{scratch}/deck.ini", "w", encoding="utf-8").close()
    run(build, 4, "mtrain", f"{scratch}/deck.ini", "stage=pt", f"output_dir={scratch}/out",
        f"model_name_or_path={GOLDEN}/models/tiny-qwen3", f"tokenized_path={scratch}/tokens.h5",
        "max_steps=2", "per_device_train_batch_size=2", "tensor_model_parallel_size=2",
        "use_distributed_optimizer=true")
    weights = safetensors(f"{scratch}/out")
    compare(scope["read_tensor"], f"{scratch}/out/checkpoint-2", "master", weights)
    moments = scope["read_tensor"](f"{scratch}/out/checkpoint-2", "exp_avg", "model.norm.weight")
    assert moments.shape == weights["model.norm.weight"].shape and np.abs(moments).max() > 0


main()
