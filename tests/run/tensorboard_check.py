#!/usr/bin/env python3
"""TensorBoard's own reader finds a run's figures in its event files, also of a resumed run.

Usage: tensorboard_check.py BUILD_FOLDER. Ends with 77 (skipped) where tensorboard is missing.
"""
import json
import os
import shutil
import subprocess
import sys

try:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
except ImportError as missing:
    print(f"skipped: {missing} (pip install tensorboard setuptools)")
    sys.exit(77)

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = sys.argv[1]


def train(out, steps):
    deck = os.path.join(ROOT, "inputs/demo.ini")
    done = subprocess.run(
        [f"{BUILD}/bin/mtrain", deck, f"output_dir={out}", f"max_steps={steps}",
         "tensor_model_parallel_size=1", "pipeline_model_parallel_size=1",
         "sequence_parallel=false", "per_device_train_batch_size=1", "eval_steps=2",
         "max_samples=64", "logging_steps=1", "save_steps=2", "report_to=tensorboard",
         "overwrite_output_dir=false", "warmup_steps=0", "lr_scheduler_type=constant"],
        cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def main():
    out = os.path.join(BUILD, "test-scratch", "tensorboard")
    shutil.rmtree(out, ignore_errors=True)
    train(out, 4)
    os.remove(os.path.join(out, "run_summary.json"))
    train(out, 6)
    events = EventAccumulator(os.path.join(out, "runs"))
    events.Reload()
    with open(os.path.join(out, "trainer_log.jsonl"), encoding="utf-8") as log:
        lines = [json.loads(line) for line in log]
    for tag, key in (("train/loss", "loss"), ("train/grad_norm", "grad_norm"),
                     ("eval/loss", "eval_loss")):
        expected = [(line["current_steps"], line[key]) for line in lines if key in line]
        found = [(e.step, e.value) for e in events.Scalars(tag)]
        assert [s for s, _ in found] == [s for s, _ in expected], (tag, found, expected)
        for (_, a), (_, b) in zip(found, expected):
            assert abs(a - b) <= 1e-6 * abs(b), (tag, a, b)
    assert len(os.listdir(os.path.join(out, "runs"))) == 2


main()
