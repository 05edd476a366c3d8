#!/usr/bin/env python3
"""Prints mtrain's figures beside those of transformers; run.sh pipes the lines of both benchmarks in."""
import json
import sys

CASES = {case["name"]: case for case in json.load(open(sys.argv[1], encoding="utf-8"))}
lines = [json.loads(line) for line in sys.stdin]
own = {line["case"]: line for line in lines if line["program"] == "mtrain"}

for line in lines:
    if "ms_per_step" not in line:
        print(f"{line['case']}: {line['seconds_to_first_step']:.2f} s from start to first step")
        continue
    print(f"{line['case']}, {line['program']}: {line['ms_per_step']:.1f} ms/step, "
          f"{line['tokens_per_second']:.0f} tokens/s, peak {line['peak_mib']:.0f} MiB", end="")
    mine, case = own[line["case"]], CASES[line["case"]]
    if line is not mine:
        speed = mine["tokens_per_second"] / line["tokens_per_second"]
        memory = mine["peak_mib"] / line["peak_mib"]
        print(f"; mtrain: {speed:.2f} x the speed (goal {case['goal_speed']}), "
              f"{memory:.2f} x the memory", end="")
        if "goal_memory" in case:
            print(f" (goal {case['goal_memory']})", end="")
    print()
