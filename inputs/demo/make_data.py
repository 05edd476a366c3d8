#!/usr/bin/env python3
"""Writes the demo's datasets into data/: small tasks for sft, prose for pt, dataset_info.json.

Standard library only; a seed decides everything, so a second run writes the same bytes:
    python3 inputs/demo/make_data.py
"""
import json
import pathlib
import random

import prose

FOLDER = pathlib.Path(__file__).resolve().parent / "data"
TRAIN, HELD_OUT, PARAGRAPHS = 6000, 200, 220

WORDS = """apple anchor autumn bridge basket butter candle castle carpet dinner dragon desert engine
energy eleven forest finger flower garden guitar ground hammer harbor helmet island insect icicle
jacket jungle kitten kettle ladder lantern lemon marble market meadow needle nickel number orange
oyster office pencil planet pocket quiver quartz rabbit ribbon river saddle silver stream tunnel
turtle temple umbrella valley violin velvet window winter walnut yellow zipper zebra bell boat bird
cloud clock corn drum desk door frog fish flag gate gold goat hill hand horn lamp leaf lake moon map
milk nest nail net pear pond path rain road rope sand ship star tree tent toad wolf wind wave""".split()
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
MONTHS = ("January February March April May June July August September October November "
          "December").split()


def spaced(items):
    return " ".join(str(item) for item in items)


def addition(rng):
    a, b = rng.randint(1, 99), rng.randint(1, 99)
    return f"Add {a} and {b}.", "", str(a + b)


def successor(rng):
    n = rng.randint(0, 999)
    return "Which number comes next?", str(n), str(n + 1)


def larger(rng):
    a, b = rng.sample(range(1000), 2)
    return f"Which is larger, {a} or {b}?", "", str(max(a, b))


def parity(rng):
    n = rng.randint(0, 999)
    return f"Is {n} even or odd?", "", "odd" if n % 2 else "even"


def sort_digits(rng):
    digits = [rng.randint(0, 9) for _ in range(rng.randint(3, 6))]
    return "Sort the digits.", spaced(digits), spaced(sorted(digits))


def reverse_letters(rng):
    letters = rng.choice(WORDS)
    return "Write the letters backwards.", spaced(letters), spaced(reversed(letters))


def spell(rng):
    first, second = rng.sample(WORDS, 2)
    return f"Spell {first} {second}.", "", spaced(first) + ", " + spaced(second)


def count_letters(rng):
    letters = [rng.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(rng.randint(1, 9))]
    return "How many letters are there?", spaced(letters), str(len(letters))


def repeat(rng):
    words = rng.sample(WORDS, rng.randint(2, 4))
    return "Repeat these words.", spaced(words), spaced(words)


def last_word(rng):
    words = rng.sample(WORDS, rng.randint(2, 5))
    return "Which word is the last one?", spaced(words), words[-1]


def neighbour(rng):
    names = rng.choice((DAYS, MONTHS))
    at, step = rng.randrange(len(names)), rng.choice((-1, 1))
    kind, side = "day" if names is DAYS else "month", "after" if step == 1 else "before"
    return f"Which {kind} comes {side} {names[at]}?", "", names[(at + step) % len(names)]


TASKS = [addition, successor, larger, parity, sort_digits, reverse_letters, spell, count_letters,
         repeat, last_word, neighbour]


def make_tasks(rng):
    """Training and held-out records. No held-out question stands in the training set, save those
    of `neighbour`, of which there are too few: all of them are trained, none is held out."""
    held_out, seen = [], set()
    while len(held_out) < HELD_OUT:
        question = rng.choice(TASKS[:-1])(rng)
        if question[:2] not in seen:
            seen.add(question[:2])
            held_out.append(question)
    train = []
    while len(train) < TRAIN:
        question = rng.choice(TASKS)(rng)
        if question[:2] not in seen:
            train.append(question)
    return train, held_out


def write_records(name, questions):
    keys = ("instruction", "input", "output")
    lines = [json.dumps(dict(zip(keys, question))) for question in questions]
    (FOLDER / name).write_text("[\n" + ",\n".join(lines) + "\n]\n", encoding="utf-8")


def main():
    FOLDER.mkdir(exist_ok=True)
    train, held_out = make_tasks(random.Random(7))
    write_records("tasks.json", train)
    write_records("tasks_eval.json", held_out)
    paragraphs = prose.paragraphs(random.Random(11), PARAGRAPHS)
    (FOLDER / "prose.txt").write_text("\n".join(paragraphs) + "\n", encoding="utf-8")
    info = {
        "demo_tasks": {"file_name": "tasks.json"},
        "demo_tasks_eval": {"file_name": "tasks_eval.json"},
        "demo_prose": {"file_name": "prose.txt", "columns": {"prompt": "text"}},
    }
    (FOLDER / "dataset_info.json").write_text(json.dumps(info, indent=2) + "\n",
                                              encoding="utf-8")


if __name__ == "__main__":
    main()
