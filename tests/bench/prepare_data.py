"""Writes bench.jsonl (alpaca records of made-up English and Chinese text) and its dataset_info.json."""
import json
import random
import sys

SYLLABLES = "ka lo mi ter ing ver sa ne du pro con est an ti or el ro ma ly ed".split()
CHARACTERS = "天地人大小学生国家时间问题方法可以我们他们这个那里因为所以"


def word(source):
    return "".join(source.choice(SYLLABLES) for _ in range(source.randint(1, 4)))


def text(source, words, vocabulary):
    if source.random() < 0.15:
        return "".join(source.choice(CHARACTERS) for _ in range(words))
    items = [source.choice(vocabulary) for _ in range(words)]
    items[0] = items[0].capitalize()
    return " ".join(items) + source.choice([".", "!", f" {source.randint(0, 9999)}.", ":\n"])


def main():
    folder, records = sys.argv[1], int(sys.argv[2])
    source = random.Random(1)
    vocabulary = [word(source) for _ in range(20000)]
    with open(f"{folder}/bench.jsonl", "w", encoding="utf-8") as out:
        for _ in range(records):
            answer = "\n".join(text(source, source.randint(5, 40), vocabulary) for _ in range(6))
            record = {"instruction": text(source, 20, vocabulary), "input": "", "output": answer}
            out.write(json.dumps(record, ensure_ascii=False) + "\n")
    with open(f"{folder}/dataset_info.json", "w", encoding="utf-8") as out:
        json.dump({"bench": {"file_name": "bench.jsonl"}}, out)


main()
