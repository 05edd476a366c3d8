"""What the style checks share: which files belong to the project, and C++ without its comments."""
import argparse
import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CPP = (".hpp", ".cpp", ".h", ".cu", ".cuh")
TEXT = CPP + (".py", ".sh", ".md", ".txt", ".cmake", ".ini", ".json", ".yaml", ".yml", "")
FOLDERS = ("include", "src", "tests", "cmake", "scripts", "docs", "inputs", "slurm", "docker", ".ci")

# Comments, raw strings, strings, characters: the first that matches at a place wins.
# A quote after a digit or letter separates digits (1'000) and opens nothing.
TOKENS = re.compile(
    r'//[^\n]*|/\*.*?\*/|R"(?P<tag>[^(\s]*)\(.*?\)(?P=tag)"|"(?:\\.|[^"\\\n])*"'
    r"|(?<![0-9a-zA-Z_])'(?:\\.|[^'\\\n])*'",
    re.DOTALL,
)


def arguments(description):
    """Parses --root (and whatever the check added) and enters that folder."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--root", default=ROOT, help="the tree to look at (default: this one)")
    parser.add_argument("--fix", action="store_true", help="mend what can be mended (format)")
    args = parser.parse_args()
    os.chdir(args.root)
    return args


def files(folders, endings):
    """Paths below the folders, sorted; built and hidden folders are left out."""
    found = []
    for top in folders:
        for folder, inner, names in os.walk(top):
            inner[:] = [d for d in inner if not d.startswith((".", "build", "__pycache__"))]
            found += [os.path.join(folder, n) for n in names
                      if os.path.splitext(n)[1] in endings]
    return sorted(found)


def cpp_files():
    return files(("include", "src", "tests"), CPP)


def text_files():
    top = [n for n in os.listdir(".") if os.path.isfile(n) and os.path.splitext(n)[1] in TEXT
           and not os.path.islink(n) and not n.startswith(".")]
    return sorted(top) + files(FOLDERS, TEXT)


def read(path):
    with open(path, encoding="utf-8", errors="replace") as f:
        return f.read()


def blank(match):
    """Replaces a token by a word of nothing, keeping its line breaks."""
    return '""' + "\n" * match.group().count("\n")


def code_only(text):
    """C++ without comments and string contents; line numbers stay the same."""
    return TOKENS.sub(blank, text)


def finish(faults, remedy):
    """Prints the faults and ends with 1, or with 0 where there is none."""
    for fault in faults:
        print(fault)
    if faults:
        print(f"{len(faults)} faults. {remedy}")
        sys.exit(1)
