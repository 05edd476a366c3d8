#!/usr/bin/env python3
"""Shows that each style check is silent on a clean tree and red on each fault it is there for."""
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))

CLEAN = {
    "src/nn/CMakeLists.txt": "mtrain_layer(nn SOURCES a.cpp USES base kernels)\n",
    "src/nn/a.cpp": '// Owns a; train calls it.\n#include "a.hpp"\n\n'
                    '#include "mtrain/base/x.hpp"\n',
    "src/nn/a.hpp": "#pragma once\n",
    "include/mtrain/base/x.hpp": "#pragma once\n",
    "include/mtrain/train/x.hpp": "#pragma once\n",
    "README.md": "clean\n",
}


def body(lines):
    return "{\n" + "  f();\n" * (lines - 2) + "}\n"


class Checks(unittest.TestCase):
    def setUp(self):
        self.root = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.root)
        os.makedirs(os.path.join(self.root, "tests/style"))
        shutil.copy(os.path.join(HERE, "layers.txt"), os.path.join(self.root, "tests/style"))
        shutil.copy(os.path.join(ROOT, ".clang-format"), self.root)
        for path, text in CLEAN.items():
            self.write(path, text)

    def write(self, path, text):
        path = os.path.join(self.root, path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)

    def check(self, name, expected):
        """Runs one check; expected is None for a clean tree, else a part of what it prints."""
        done = subprocess.run(
            [sys.executable, "-B", os.path.join(HERE, f"check_{name}.py"), "--root", self.root],
            capture_output=True, text=True, cwd=ROOT, check=False)
        said = done.stdout + done.stderr
        self.assertEqual(done.returncode != 0, expected is not None, said)
        self.assertIn(expected or "", said)

    def red(self, name, path, text, expected):
        self.write(path, text)
        self.check(name, expected)

    def add(self, name, text, expected):
        """The clean source with more text must make the check red."""
        self.red(name, "src/nn/a.cpp", CLEAN["src/nn/a.cpp"] + text, expected)

    def test_clean_tree(self):
        for name in ("includes", "sizes", "text", "listed", "format"):
            self.check(name, None)

    def test_page_of_errors(self):
        self.add("errors", 'void f() { throw UserError(cat("no file ", x), "give one"); }\n',
                 "docs/errors.md is old")
        subprocess.run([sys.executable, "-B", os.path.join(HERE, "check_errors.py"), "--fix", "--root", self.root],
                       check=True, cwd=ROOT)
        self.check("errors", None)
        with open(os.path.join(self.root, "docs/errors.md"), encoding="utf-8") as f:
            self.assertIn("| no file … | give one |", f.read())

    def test_layer_below_includes_layer_above(self):
        self.add("includes", '#include "mtrain/train/x.hpp"\n', "a.cpp:5")

    def test_layer_includes_what_its_row_lacks(self):
        self.red("includes", "src/data/d.cpp", '#include "mtrain/comm/c.hpp"\n', "does not exist")
        self.write("include/mtrain/comm/c.hpp", "#pragma once\n")
        self.check("includes", "data may use base")

    def test_cmake_uses(self):
        self.red("includes", "src/nn/CMakeLists.txt", "mtrain_layer(nn SOURCES a.cpp USES train)\n",
                 "USES train")

    def test_cycle_in_table(self):
        self.red("includes", "tests/style/layers.txt", "nn: train\ntrain: nn\nbase:\n",
                 "nn may not use train")

    def test_unknown_layer(self):
        self.red("includes", "src/misc/m.cpp", "", "layer misc")

    def test_private_header_of_another_layer(self):
        self.red("includes", "src/data/d.cpp", '#include "../nn/a.hpp"\n', "private header")

    def test_public_header_includes_private(self):
        self.write("src/base/p.hpp", "#pragma once\n")
        self.red("includes", "include/mtrain/base/x.hpp", '#include "p.hpp"\n', "is public")

    def test_packages(self):
        for header in ("mpi.h", "nccl.h", "hdf5.h", "boost/program_options.hpp",
                       "yaml-cpp/yaml.h", "torch/torch.h"):
            self.add("includes", f"#include <{header}>\n", header)

    def test_long_file(self):
        self.add("sizes", "int x;\n" * 401, "the limit is 400")

    def test_long_functions(self):
        for head in ("int f(int a) ", "A::A(int b)\n    : b_{b}, c_(b) ", "auto A::f() const -> int ",
                     "template <class T>\nvoid f(T (*g)(int)) noexcept ",
                     "namespace x {\nstruct A {\n  int a = 1;\n  void f() ", "BOOST_AUTO_TEST_CASE(f) "):
            end = "};\n}\n" if "struct" in head else ""
            self.add("sizes", head + body(61) + end, "a function of 61 lines")
            self.write("src/nn/a.cpp", head + body(60) + end)
            self.check("sizes", None)

    def test_blocks_that_are_no_functions(self):
        for head in ("namespace x ", "struct A ", "const int a[] = "):
            self.write("src/nn/a.cpp", head + "{\n" + "  int f();\n" * 100 + "};\n")
            self.check("sizes", None)

    def test_braces_in_comments_and_strings(self):
        self.write("src/nn/a.cpp", 'void f() { g("{", \'{\', R"(})"); } // {\n' + "int x;\n" * 100)
        self.check("sizes", None)

    def test_kernels_may_be_longer(self):
        self.write("src/nn/a.cu", "__global__ void f() " + body(150))
        self.check("sizes", None)
        self.red("sizes", "src/nn/a.cu", "__global__ void f() " + body(151), "the limit is 150")

    def test_text(self):
        self.add("text", "// TO" "DO later\n", "left for later")
        self.add("text", '// see /ho' 'me/me/x\n', "folder of one machine")
        self.add("text", 'auto x = std::getenv("X");\n', "environment")
        self.red("text", "src/nn/a.cpp", "#include <vector>\n", "opens without")
        self.red("text", "src/nn/a.hpp", "int x;\n", "#pragma once")

    def test_orphan(self):
        self.red("listed", "src/nn/orphan.cpp", "// Owns nothing.\n", "orphan.cpp")

    def test_format(self):
        self.add("format", "int  x ;\n", "make format")


if __name__ == "__main__":
    unittest.main()
