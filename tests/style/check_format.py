#!/usr/bin/env python3
"""Every C++ file is formatted as .clang-format says, by the clang-format that setup.sh fetched.

'make format' runs this with --fix.
"""
import glob
import os
import subprocess
import sys

import sources


def main():
    args = sources.arguments(__doc__)
    tools = glob.glob(os.path.join(sources.ROOT, ".deps/clang-format-*"))
    if len(tools) != 1:
        sys.exit("clang-format is missing from .deps/: run 'make setup'")
    mode = ["-i"] if args.fix else ["--dry-run", "-Werror", "--ferror-limit=1"]
    if subprocess.run([tools[0], *mode, "--style=file", *sources.cpp_files()], check=False).returncode:
        sys.exit("Not formatted: run 'make format'.")


main()
