#!/usr/bin/env python3
"""Times the training steps of cases.json in transformers: eager, fp32, one thread, torch's AdamW.

Usage: hf_bench.py CASES.json. Each case and kind of attention runs in a process of its own, so that
its peak memory is its own. Ends with 77 where torch or transformers is missing.
"""
import json
import os
import resource
import statistics
import subprocess
import sys
import time

try:
    import torch
    from transformers import Qwen3Config, Qwen3ForCausalLM
except ImportError as missing:
    print(f"hf_bench: {missing}", file=sys.stderr)
    sys.exit(77)


def time_steps(case, attention):
    torch.set_num_threads(1)
    torch.manual_seed(1)
    config = Qwen3Config(**case["config"], tie_word_embeddings=True, rope_theta=1e6,
                         max_position_embeddings=4096, attn_implementation=attention)
    model = Qwen3ForCausalLM(config).train()
    optimizer = torch.optim.AdamW(model.parameters())
    shape = (case["sequences"], case["length"] + 1)
    seconds = []
    for step in range(case["warm_up"] + case["steps"]):
        tokens = torch.randint(0, config.vocab_size, shape)
        inputs, targets = tokens[:, :-1].contiguous(), tokens[:, 1:].contiguous()
        start = time.perf_counter()
        loss = model(input_ids=inputs, labels=targets, shift_labels=targets, use_cache=False).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        loss.item()
        if step >= case["warm_up"]:
            seconds.append(time.perf_counter() - start)
    middle = statistics.median(seconds)
    print(json.dumps({
        "program": f"transformers, {attention} attention", "case": case["name"],
        "ms_per_step": 1e3 * middle,
        "tokens_per_second": case["sequences"] * case["length"] / middle,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))


def main():
    with open(sys.argv[1], encoding="utf-8") as f:
        cases = json.load(f)
    if len(sys.argv) == 4:
        return time_steps(cases[int(sys.argv[2])], sys.argv[3])
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    for index in range(len(cases)):
        for attention in ("eager", "sdpa"):
            subprocess.run([sys.executable, *sys.argv, str(index), attention], check=True)


main()
