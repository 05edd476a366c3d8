#!/usr/bin/env python3
"""Holds files to 400 lines, functions to 60 and CUDA kernels to 150."""
import re

import sources

FILE_LIMIT, FUNCTION_LIMIT, KERNEL_LIMIT = 400, 60, 150

CONTROL = re.compile(r"^(?:else\b\s*)?(?:if|for|while|switch|catch|do|else|try)\b")
SCOPE = re.compile(r"^(?:inline\s+)?(?:namespace|extern)\b|\b(?:class|struct|union|enum)\b[^()]*$")
# After the parameters: qualifiers, a trailing return type, or a constructor's initialisers.
FUNCTION = re.compile(
    r"\)\s*(?:const|noexcept|override|final|mutable|&|\s|try|requires\b[^;]*)*"
    r"(?:->\s*[\w:<>,\s*&]+)?(?::.*[)}])?\s*$", re.DOTALL)


def is_function(head):
    head = re.sub(r"^\s*(?:template\s*<[^{]*>\s*)?(?:\[\[[^\]]*\]\]\s*)*", "", head)
    return not CONTROL.search(head) and not SCOPE.search(head) and bool(FUNCTION.search(head))


def functions(code):
    """Yields (first line, last line, head) of each outermost function body."""
    head, line, stack = "", 1, []
    for c in code:
        if c == "{":
            inside = any(is_body for _, is_body, _ in stack)
            stack.append((line, not inside and is_function(head), head))
            head = ""
        elif c == "}" and stack:
            first, is_body, opened = stack.pop()
            if is_body:
                yield first, line, opened
            # A braced initialiser belongs to what stands before it: keep reading that.
            braced = re.search(r"[\w>,:(=]\s*$", opened) and not SCOPE.search(opened.strip())
            head = opened + "{}" if braced and not is_body else ""
        elif c == ";":
            head = ""
        else:
            head += c
        line += c == "\n"


def function_faults(path, text):
    code = re.sub(r"^[ \t]*#(?:[^\n\\]|\\.)*", "", sources.code_only(text), flags=re.M | re.S)
    for first, last, head in functions(code):
        limit = KERNEL_LIMIT if "__global__" in head else FUNCTION_LIMIT
        lines = last - first + 1
        if lines > limit:
            yield f"{path}:{first}: a function of {lines} lines; the limit is {limit}"


def main():
    sources.arguments(__doc__)
    faults = []
    for path in sources.text_files():
        text = sources.read(path)
        if path.endswith(sources.CPP) or path.endswith((".py", ".sh", ".cmake")):
            lines = text.count("\n")
            if lines > FILE_LIMIT:
                faults.append(f"{path}: {lines} lines; the limit is {FILE_LIMIT}")
        if path.endswith(sources.CPP):
            faults += function_faults(path, text)
    sources.finish(faults, "Split by what the parts are about.")


main()
