#!/usr/bin/env python3
"""Small rules of the text: how a file opens, and what may not stand in it."""
import re

import sources

# Built from parts so that this file keeps its own rules.
LATER = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|X" + r"XX)\b")
MACHINE = re.compile(r"(?<![\w.$}])/(?:home|root|work|Users)" + r"/\w")
ENVIRONMENT = re.compile(r"\b(?:secure_)?getenv\s*\(")


def forbidden(path, text):
    for number, line in enumerate(text.splitlines(), 1):
        if LATER.search(line):
            yield f"{path}:{number}: work left for later belongs into an issue"
        if MACHINE.search(line):
            yield f"{path}:{number}: names a folder of one machine"


def code_faults(path, text):
    if path.endswith((".cpp", ".cu")) and not text.startswith("//"):
        yield f"{path}:1: opens without a sentence on what it owns and who calls it"
    if path.endswith((".hpp", ".cuh")) and not re.search(r"^#pragma once$", text, re.M):
        yield f"{path}:1: has no #pragma once"
    if re.match(r"(src|include/mtrain)/(?!train/|tools/|main)", path):
        code = sources.code_only(text)
        for match in ENVIRONMENT.finditer(code):
            line = code.count("\n", 0, match.start()) + 1
            yield f"{path}:{line}: reads the environment; only train and the programs may"


def main():
    sources.arguments(__doc__)
    faults = []
    for path in sources.text_files():
        text = sources.read(path)
        faults += forbidden(path, text)
        if path.endswith(sources.CPP):
            faults += code_faults(path, text)
    sources.finish(faults, "docs/dev/building.md lists the rules.")


main()
