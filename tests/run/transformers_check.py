#!/usr/bin/env python3
"""What mtrain exports is what transformers loads: same loss, same tokenizer, same in each layout,
and generation that stops. Tried with versions 4.57 and 5.

Usage: transformers_check.py BUILD_FOLDER. Ends with 77 (skipped) where a package it needs is missing.
"""
import json
import os
import shutil
import subprocess
import sys

try:
    import h5py
    import torch
    from safetensors.torch import load_file
    from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig
except ImportError as missing:
    print(f"skipped: {missing} (pip install torch transformers h5py)")
    sys.exit(77)

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
GOLDEN = os.path.join(ROOT, "tests/golden/data")
WHOLE = ["per_device_train_batch_size=8"]
DENSE = {"one": (1, WHOLE),
         "tp2-pp2": (4, [*WHOLE, "tensor_model_parallel_size=2", "pipeline_model_parallel_size=2",
                         "num_layers_in_first_pipeline_stage=1", "sequence_parallel=true"])}
# In fp32, for rounding in bf16 would choose other experts; sample by sample, for their losses are
# formed over a micro-batch.
EACH = ["per_device_train_batch_size=1", "dtype=float32"]
EXPERTS = {"one": (1, [*EACH, "gradient_accumulation_steps=8"]),
           "tp2-ep4": (4, [*EACH, "gradient_accumulation_steps=4", "tensor_model_parallel_size=2",
                           "sequence_parallel=true", "expert_model_parallel_size=4",
                           "use_distributed_optimizer=true"])}
# Layouts; relative difference of the loss, largest difference of a logit between layouts. fp32:
# rounding, grown by four steps of AdamW. bf16: both programs round at 2^-9, in other places; logits
# reach 5.
MODELS = {"tiny-qwen3": (DENSE, 1e-5, 1e-3), "tiny-qwen3-untied-bf16": (DENSE, 2e-3, 0.1),
          "tiny-qwen3-moe": (EXPERTS, 1e-5, 1e-3), "tiny-qwen3-moe-mixed": (EXPERTS, 1e-5, 1e-3)}


def write_store(path, rows):
    """The token store's format: docs/token-store.md."""
    with h5py.File(path, "w", libver="latest") as f:
        f.attrs.update({"format": "mtrain-tokens", "version": 1, "stage": "pt", "source_hash": ""})
        f["input_ids"] = f["labels"] = rows.flatten().numpy()
        f["sample_offsets"] = torch.arange(0, rows.numel() + 1, rows.shape[1]).numpy()


def train(build, folder, arguments, ranks=1):
    deck = os.path.join(folder, "deck.ini")
    open(deck, "w").close()
    command = [os.path.join(build, "bin/mtrain"), deck, f"output_dir={folder}/out", *arguments]
    if ranks > 1:
        command = [os.path.join(ROOT, "scripts/local_mpirun"), "-np", str(ranks), *command]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        sys.exit(f"{command}:\n{result.stdout}{result.stderr}")
    return os.path.join(folder, "out")


def check(good, what):
    print("ok  " if good else "FAIL", what)
    return good


def check_model(build, scratch, name):
    tokens = load_file(os.path.join(GOLDEN, "tiny-qwen3/curve.safetensors"))["tokens"]
    with open(f"{GOLDEN}/models/{name}/config.json", encoding="utf-8") as f:
        tokens %= json.load(f)["vocab_size"]
    layouts, loss_tolerance, logit_tolerance = MODELS[name]
    good, logits = True, []
    for layout, (ranks, keys) in layouts.items():
        folder = os.path.join(scratch, f"{name}-{layout}")
        os.makedirs(folder)
        write_store(os.path.join(folder, "tokens.h5"), tokens[:32])
        write_store(os.path.join(folder, "tokens.eval.h5"), tokens[32:64])
        out = train(build, folder, [
            f"model_name_or_path={GOLDEN}/models/{name}", f"tokenized_path={folder}/tokens.h5",
            "stage=pt", "do_eval=true", "max_steps=4", "learning_rate=1e-3",
            *keys], ranks)
        model = AutoModelForCausalLM.from_pretrained(out, dtype="auto")
        with open(os.path.join(out, "config.json"), encoding="utf-8") as f:
            stored = json.load(f)
        good &= check(str(model.dtype) == f"torch.{stored['torch_dtype']}", f"{name}: {model.dtype}")
        with torch.no_grad():
            logits.append(model(input_ids=tokens[32:64, :-1].long()).logits.float())
        theirs = torch.nn.functional.cross_entropy(
            logits[-1].flatten(0, 1), tokens[32:64, 1:].long().flatten()).item()
        with open(os.path.join(out, "run_summary.json"), encoding="utf-8") as f:
            ours = json.load(f)["eval_loss"]
        good &= check(abs(ours / theirs - 1) < loss_tolerance,
                      f"{name} {layout}: loss {ours:.7f}, by transformers {theirs:.7f}")
    difference = (logits[0] - logits[1]).abs().max().item()
    return good & check(difference < logit_tolerance,
                        f"{name}: logits differ by {difference:.2g} between layouts")


def check_tokenizer(build, scratch):
    """The demo's model, saved untrained: tokenizer and generation settings load from the output."""
    folder, demo = os.path.join(scratch, "tokenizer"), os.path.join(ROOT, "inputs/demo")
    os.makedirs(folder)
    out = train(build, folder, [
        f"model_config={demo}/model/config.json", f"dataset_dir={demo}/data", "dataset=demo_tasks",
        "template=qwen3_nothink", "max_steps=1", "learning_rate=0"])
    ours, given = AutoTokenizer.from_pretrained(out), AutoTokenizer.from_pretrained(demo + "/model")
    text = "Sort the digits 3 1 2."
    chat = [{"role": "user", "content": text}]
    good = check(ours(text).input_ids == given(text).input_ids, "tokenizer")
    good &= check(ours.apply_chat_template(chat, tokenize=False) ==
                  given.apply_chat_template(chat, tokenize=False), "chat template")
    config = AutoModelForCausalLM.from_pretrained(out, dtype="auto").generation_config
    return good & check(GenerationConfig.from_pretrained(out).eos_token_id == config.eos_token_id,
                        f"generation_config.json: eos_token_id {config.eos_token_id}")


def check_stops(build, scratch):
    """A base model that learns one answer: generation ends with it, in a chat the export describes."""
    folder, demo = os.path.join(scratch, "stops"), os.path.join(ROOT, "inputs/demo/model")
    base, data = os.path.join(folder, "base"), os.path.join(folder, "data")
    os.makedirs(data)
    shutil.copytree(demo, base)
    with open(f"{demo}/tokenizer_config.json", encoding="utf-8") as f:
        tokens = json.load(f)
    tokens["eos_token"] = "<|endoftext|>"
    del tokens["chat_template"]
    question, answer = "Is it so?", "Yes, it is."
    for path, content in ((f"{base}/tokenizer_config.json", tokens),
                          (f"{data}/dataset_info.json", {"one": {"file_name": "one.json"}}),
                          (f"{data}/one.json", [{"instruction": question, "input": "", "output": answer}] * 8)):
        with open(path, "w", encoding="utf-8") as f:
            json.dump(content, f)
    out = train(build, folder, [
        f"model_config={base}/config.json", f"dataset_dir={data}", "dataset=one",
        "template=qwen3_nothink", "max_steps=40", "learning_rate=5e-3", "save_steps=0"])
    tokenizer = AutoTokenizer.from_pretrained(out)
    model = AutoModelForCausalLM.from_pretrained(out, dtype="auto")
    prompt = tokenizer.apply_chat_template([{"role": "user", "content": question}], tokenize=False,
                                           add_generation_prompt=True)
    ids = tokenizer(prompt, return_tensors="pt").input_ids
    made = model.generate(ids, do_sample=False, max_new_tokens=50)[0, ids.shape[1]:].tolist()
    good = check(made[-1] == tokenizer.eos_token_id and len(made) < 50,
                 f"generation ends after {len(made)} tokens with {tokenizer.eos_token}")
    said = tokenizer.decode(made, skip_special_tokens=True)
    return good & check(said == answer, f"it says {said!r}")


def main():
    build = os.path.abspath(sys.argv[1])
    scratch = os.path.join(build, "test-scratch/transformers")
    shutil.rmtree(scratch, ignore_errors=True)
    torch.set_num_threads(1)
    results = [check_model(build, scratch, name) for name in MODELS]
    results.append(check_tokenizer(build, scratch))
    results.append(check_stops(build, scratch))
    sys.exit(0 if all(results) else 1)


main()
