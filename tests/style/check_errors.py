#!/usr/bin/env python3
"""docs/errors.md lists every error message of the sources; --fix writes it anew."""
import os
import re
import sys

import sources

PAGE = "docs/errors.md"
# How an error is made, and which of the arguments are its message and its remedy.
CALLS = (
    (r"\bUserError\(", 0, 1),
    (r"(?<!User)\bError\(", 0, 1),
    (r"\bCommunicationError\(", 0, 1),
    (r"\bfaults_?\.add\(", 1, 2),
    (r"\bchecker\.fault\(", 1, 2),
    (r"\bFault\{", 0, 1),
    (r"\bto_fault\(", 0, 1),
)
LAYERS = {
    "config": "The deck and the command line. The message begins with the place: file and line, or command line.",
    "data": "Datasets, tokenizers, token stores.",
    "models": "The model's config.json.",
    "train": "What a run finds before its first step or while it runs.",
    "checkpoint": "Checkpoints and safetensors files.",
    "parallel": "Layouts.",
    "comm": "MPI and NCCL.",
    "kernels": "Operators.",
    "nn": "Layers.",
    "base": "Files and JSON.",
    "report": "Event files.",
    "watch": "The watchdog.",
    "tools": "The programs.",
}
# A remedy that is made of values alone.
COMPUTED = "names or values that would do are printed with it"
# What callers add to a message of these layers that has no remedy of its own: a text, or the names of
# constants of src/train/remedy.hpp.
ADDED = {
    "data": ("kDataRemedy",),
    "checkpoint": ("kCheckpointRemedy", "kModelRemedy"),
    "models": ("give the config.json that belongs to the model",),
    "parallel": ("the keys and values with which it works are printed with it",),
}
INTRODUCTION = """# Error messages

<!-- Written by `python3 tests/style/check_errors.py --fix`: edit the message in the sources instead. -->

Every message the programs can end with, and the remedy they print with it; … stands for a name or a value.
A fault in what you gave ends with exit code 2 before anything is trained, a failure while running with 1.
Search for the part without values. What to do about symptoms that are no message:
[troubleshooting.md](troubleshooting.md). An "internal check failed" is a bug of ours: please report it.
"""
STRING = re.compile(r'"((?:\\.|[^"\\])*)"')
OPEN, CLOSE = "([{", ")]}"


def split_arguments(text, start):
    """The texts between commas of the call whose bracket opens before `start`."""
    parts, depth, begin, at = [], 1, start, start
    while at < len(text):
        token = sources.TOKENS.match(text, at)
        if token:
            at = token.end()
            continue
        if text[at] in OPEN:
            depth += 1
        elif text[at] in CLOSE:
            depth -= 1
        if depth == 0 or (depth == 1 and text[at] == ","):
            parts.append(text[begin:at].strip())
            begin = at + 1
        if depth == 0:
            return parts
        at += 1
    return parts


def unescape(text):
    return text.replace('\\"', '"').replace("\\n", " ").replace("\\\\", "\\")


def spoken(expression, constants):
    """What an argument says: literals as they are, the rest as an ellipsis."""
    expression = re.sub(r"^(?:std::string|fs::path)\((.*)\)$", r"\1", expression, flags=re.DOTALL)
    call = re.match(r"(?:mtrain::)?cat\(", expression)
    if call:
        return "".join(spoken(part, constants) for part in split_arguments(expression, call.end()))
    if re.fullmatch(r'(?:"(?:\\.|[^"\\])*"\s*)+', expression):
        return "".join(unescape(part) for part in STRING.findall(expression))
    raw = re.fullmatch(r'R"(\w*)\((.*)\)\1"', expression, re.DOTALL)
    if raw:
        return raw[2]
    return constants.get(expression, "…")


def constants_of(text):
    """Names of texts that a file declares once."""
    found = re.finditer(r'\b(\w+)(?:\[\])? =\s*((?:"(?:\\.|[^"\\])*"\s*)+);', text)
    return {m[1]: "".join(unescape(part) for part in STRING.findall(m[2])) for m in found}


def messages(path, shared):
    text = sources.read(path)
    constants = shared | constants_of(text)
    for pattern, message_at, remedy_at in CALLS:
        for match in re.finditer(pattern, text):
            arguments = split_arguments(text, match.end())
            if len(arguments) <= message_at:
                continue
            parts = [spoken(arguments[i], constants) if i < len(arguments) else ""
                     for i in (message_at, remedy_at)]
            message, remedy = (re.sub("…+", "…", " ".join(p.split())) for p in parts)
            if re.search(r"[a-z]{2}", message):  # else it passes another error on
                yield message, COMPUTED if remedy == "…" else remedy


def page():
    paths = [p for p in sources.cpp_files() if not p.startswith("tests/")]
    shared = {}
    for path in paths:
        if path.endswith(".hpp"):
            shared |= constants_of(sources.read(path))
    found = {}
    for path in paths:
        layer = re.match(r"(?:src|include/mtrain)/(\w+)/", path)
        layer = layer[1] if layer else "tools"
        added = "; or ".join(shared.get(text, text) for text in ADDED.get(layer, ()))
        found.setdefault(layer, set()).update(
            (message, remedy or added) for message, remedy in messages(path, shared))
    lines = [INTRODUCTION]
    for layer in sorted(found, key=lambda name: (list(LAYERS) + [name]).index(name)):
        if not found[layer]:
            continue
        lines.append(f"## {layer}\n\n{LAYERS.get(layer, '')}\n\n| message | what to do |\n|---|---|")
        cell = lambda text: text.replace("|", "\\|").replace("<", "&lt;")
        lines += [f"| {cell(m)} | {cell(r)} |" for m, r in sorted(found[layer])]
        lines.append("")
    return "\n".join(lines)


def main():
    fix = sources.arguments(__doc__).fix
    text = page()
    try:
        old = sources.read(PAGE)
    except FileNotFoundError:
        old = ""
    if fix:
        os.makedirs(os.path.dirname(PAGE), exist_ok=True)
        with open(PAGE, "w", encoding="utf-8") as f:
            f.write(text)
    elif old != text:
        sources.finish([f"{PAGE} is old"], "Run: python3 tests/style/check_errors.py --fix")
    sys.exit(0)


main()
