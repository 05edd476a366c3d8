#!/usr/bin/env python3
"""Trains the demo's byte-level BPE tokenizer on data/ and writes model/: tokenizer.json,
tokenizer_config.json, and the config.json of a small Qwen3 with that vocabulary.

Standard library only and deterministic; run make_data.py first:
    python3 inputs/demo/make_tokenizer.py
"""
import collections
import json
import pathlib
import re

FOLDER = pathlib.Path(__file__).resolve().parent
MERGES = 1019  # 256 bytes + merges + 5 added tokens = 1280 ids
ADDED = [("<|endoftext|>", True), ("<|im_start|>", True), ("<|im_end|>", True),
         ("<think>", False), ("</think>", False)]

# Words with the space before them, single digits, punctuation, white space. The corpus is
# English, for which Python's classes agree with the pattern that goes into tokenizer.json.
WORDS = re.compile(r"[^\r\n\w]?[^\W\d_]+|\d| ?[^\s\w]+|\s+(?!\S)|\s+")
PATTERN = r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"


def alphabet():
    """The printable character that spells each byte."""
    plain = [*range(0x21, 0x7f), *range(0xa1, 0xad), *range(0xae, 0x100)]
    others = [byte for byte in range(256) if byte not in plain]
    spelling = {byte: chr(byte) for byte in plain}
    spelling.update({byte: chr(256 + i) for i, byte in enumerate(others)})
    return spelling


def corpus():
    for name in ("tasks.json", "tasks_eval.json"):
        for record in json.loads((FOLDER / "data" / name).read_text(encoding="utf-8")):
            yield from record.values()
    yield (FOLDER / "data" / "prose.txt").read_text(encoding="utf-8")
    yield "system\nuser\nassistant\n"


def count_words():
    spelling = alphabet()
    counts = collections.Counter()
    for text in corpus():
        for word in WORDS.findall(text):
            counts[tuple(spelling[byte] for byte in word.encode())] += 1
    return counts


def join(word, pair):
    joined, at = [], 0
    while at < len(word):
        if word[at:at + 2] == pair:
            joined.append(word[at] + word[at + 1])
            at += 2
        else:
            joined.append(word[at])
            at += 1
    return tuple(joined)


def train(counts):
    """The merges, most frequent pair first; of equally frequent pairs the first in order."""
    merges = []
    while len(merges) < MERGES:
        pairs = collections.Counter()
        for word, count in counts.items():
            for pair in zip(word, word[1:]):
                pairs[pair] += count
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        merged = collections.Counter()
        for word, count in counts.items():
            merged[join(word, best) if best[0] in word else word] += count
        counts = merged
    return merges


def tokenizer(merges):
    spelling = alphabet()
    vocabulary = {character: i for i, character in enumerate(sorted(spelling.values()))}
    for left, right in merges:
        vocabulary.setdefault(left + right, len(vocabulary))
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False,
                  "use_regex": False}
    split = {"type": "Split", "pattern": {"Regex": PATTERN}, "behavior": "Isolated",
             "invert": False}
    added = [{"id": len(vocabulary) + i, "content": content, "single_word": False,
              "lstrip": False, "rstrip": False, "normalized": False, "special": special}
             for i, (content, special) in enumerate(ADDED)]
    return {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": added,
        "normalizer": {"type": "NFC"},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, byte_level]},
        "post_processor": byte_level, "decoder": byte_level,
        "model": {"type": "BPE", "dropout": None, "unk_token": None,
                  "continuing_subword_prefix": "", "end_of_word_suffix": "", "fuse_unk": False,
                  "byte_fallback": False, "vocab": vocabulary,
                  "merges": [" ".join(pair) for pair in merges]},
    }


def tokenizer_config():
    return {
        "tokenizer_class": "Qwen2Tokenizer", "bos_token": None, "eos_token": "<|im_end|>",
        "pad_token": "<|endoftext|>", "unk_token": None, "add_bos_token": False,
        "add_prefix_space": False, "clean_up_tokenization_spaces": False, "errors": "replace",
        "split_special_tokens": False, "model_max_length": 1024,
        "chat_template": "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}"
                         "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>"
                         "assistant\n{% endif %}",
    }


def model_config(tokens):
    ids = {token["content"]: token["id"] for token in tokens["added_tokens"]}
    return {
        "architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3",
        "vocab_size": len(tokens["model"]["vocab"]) + len(ADDED),
        "hidden_size": 128, "intermediate_size": 384, "num_hidden_layers": 4,
        "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 32,
        "hidden_act": "silu", "max_position_embeddings": 1024, "max_window_layers": 4,
        "rms_norm_eps": 1e-06, "rope_theta": 10000.0, "rope_scaling": None,
        "attention_bias": False, "attention_dropout": 0.0, "tie_word_embeddings": True,
        "initializer_range": 0.02, "sliding_window": None, "use_sliding_window": False,
        "use_cache": True, "bos_token_id": None, "eos_token_id": ids["<|im_end|>"],
        "pad_token_id": ids["<|endoftext|>"], "torch_dtype": "float32",
    }


def write(name, value, indent):
    text = json.dumps(value, ensure_ascii=False, indent=indent) + "\n"
    (FOLDER / "model" / name).write_text(text, encoding="utf-8")


def main():
    (FOLDER / "model").mkdir(exist_ok=True)
    tokens = tokenizer(train(count_words()))
    write("tokenizer.json", tokens, 1)
    write("tokenizer_config.json", tokenizer_config(), 2)
    write("config.json", model_config(tokens), 2)


if __name__ == "__main__":
    main()
