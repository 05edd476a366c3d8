"""The job of mprep with HF datasets and tokenizers: read, format, tokenize each part, label, save.

Usage: hf_prepare.py tokenizer.json data.jsonl. Prints tokens per second of everything after imports.
"""
import os
import sys
import time

from datasets import load_dataset
from tokenizers import Tokenizer

CUTOFF = 2048
USER = "<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n"
THOUGHT = "<think>\n\n</think>\n\n"


def main():
    start = time.perf_counter()
    tokenizer = Tokenizer.from_file(sys.argv[1])
    thought = tokenizer.encode(THOUGHT, add_special_tokens=False).ids

    def encode(batch):
        prompts = [USER.format("\n".join(p for p in pair if p))
                   for pair in zip(batch["instruction"], batch["input"])]
        answers = [a + "<|im_end|>\n" for a in batch["output"]]
        sources = tokenizer.encode_batch(prompts, add_special_tokens=False)
        targets = tokenizer.encode_batch(answers, add_special_tokens=False)
        ids, labels = [], []
        for source, target in zip(sources, targets):
            answer = thought + target.ids
            ids.append((source.ids + answer)[:CUTOFF])
            labels.append(([-100] * len(source.ids) + answer)[:CUTOFF])
        return {"input_ids": ids, "labels": labels}

    data = load_dataset("json", data_files=sys.argv[2], split="train")
    encoded = data.map(encode, batched=True, batch_size=1000, remove_columns=data.column_names)
    encoded.save_to_disk(os.path.join(os.environ["HF_DATASETS_CACHE"], "saved"))
    seconds = time.perf_counter() - start
    tokens = sum(len(row) for row in encoded.with_format("arrow")["input_ids"])
    print(f"hf: {len(encoded)} samples, {tokens} tokens, {seconds:.2f} s, {tokens / seconds:.0f} tokens/s")


main()
