#!/usr/bin/env python3
"""Every source file is listed by name in the CMakeLists.txt of its folder or of one above."""
import os
import re

import sources


def listed(path):
    folder = os.path.dirname(path)
    while folder:
        cmake = os.path.join(folder, "CMakeLists.txt")
        if os.path.exists(cmake):
            words = re.sub(r"#.*", "", sources.read(cmake)).replace(")", " ").split()
            if os.path.relpath(path, folder) in words:
                return True
        folder = os.path.dirname(folder)
    return False


def main():
    sources.arguments(__doc__)
    faults = [f"{path}: is in no CMakeLists.txt"
              for path in sources.files(("src", "tests"), (".cpp", ".cu")) if not listed(path)]
    sources.finish(faults, "List it, or delete it.")


main()
