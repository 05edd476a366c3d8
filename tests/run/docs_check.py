#!/usr/bin/env python3
"""Runs the commands of the pages for users, in a folder made as a new user would have it.

docs_check.py BUILD_FOLDER. Commands are blocks marked sh. They share one folder, page by page: decks that the
pages show lie in it, mpirun and srun start ranks on this machine, sbatch only looks at what it is given. A block
below `<!-- not run: why -->` is left out.
"""
import json
import os
import re
import shutil
import subprocess
import sys
import time

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PAGES = ("docs/getting-started.md", "README.md", "docs/data.md", "docs/checkpoint.md", "docs/parallelism.md",
         "docs/slurm.md", "docs/training.md", "docs/troubleshooting.md", "docs/coming-from.md", "docs/deck.md",
         "docs/numerics.md", "docs/token-store.md", "docs/performance.md")
BLOCK = re.compile(r"(?P<skip><!-- not run: [^>]*-->\n+)?^```(?P<kind>\w*)\n(?P<text>.*?)^```",
                   re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"^(?:[A-Z]+=\S+ )?(?:\./m|mpirun |srun |sbatch |slurm/|make\b|scancel )", re.MULTILINE)
# Decks that a page shows as an ini block, by the order of such blocks.
DECKS = {"docs/getting-started.md": "my-first.ini", "README.md": "my.ini"}
RANKS_HERE = f"""#!/bin/sh
PATH={os.environ["PATH"]}
export PATH
"""
SHIMS = {
    "mpirun": RANKS_HERE + f'exec {SOURCE}/scripts/local_mpirun "$@"\n',
    "srun": RANKS_HERE + f'shift\nexec {SOURCE}/scripts/local_mpirun -np 2 "$@"\n',
    "sbatch": '#!/bin/sh\nfor word; do case $word in *.sbatch) bash -n "$word" || exit 1 ;; esac; done\n'
              'echo "Submitted batch job 1"\n',
}


def write(path, text, mode=0o644):
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    os.chmod(path, mode)


def read(path):
    with open(os.path.join(SOURCE, path), encoding="utf-8") as f:
        return f.read()


def make_folder(build):
    """The repository as far as commands name it, and a small dataset of the README's."""
    folder = os.path.join(build, "test-scratch", "docs")
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(os.path.join(folder, "shims"))
    os.makedirs(os.path.join(folder, "data"))
    for name in ("inputs", "slurm", "scripts", "docs"):
        os.symlink(os.path.join(SOURCE, name), os.path.join(folder, name))
    for program in ("mtrain", "mconvert", "mprep"):
        os.symlink(os.path.join(build, "bin", program), os.path.join(folder, program))
    for name, text in SHIMS.items():
        write(os.path.join(folder, "shims", name), text, 0o755)
    records = json.loads(read("inputs/demo/data/tasks.json"))[:96]
    write(os.path.join(folder, "data", "answers.json"), json.dumps(records))
    write(os.path.join(folder, "data", "dataset_info.json"),
          json.dumps({"my_answers": {"file_name": "answers.json"}}))
    # The model of the README is the one that the first page makes.
    os.symlink("first-model", os.path.join(folder, "Qwen3-0.6B"))
    return folder


def run(folder, page, command):
    environment = dict(os.environ, PATH=f"{folder}/shims:{os.environ['PATH']}", OMP_NUM_THREADS="1")
    begin = time.monotonic()
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", command], cwd=folder, env=environment,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, errors="replace", check=False, timeout=400)
    print(f"{time.monotonic() - begin:6.1f} s  {page}: {command}", flush=True)
    if done.returncode != 0:
        print(f"{page}: {command}\nended with {done.returncode}:\n{done.stdout}")
    return done.returncode == 0


def check_page(folder, page):
    """The numbers of commands run and of faults."""
    count = faults = 0
    for block in BLOCK.finditer(read(page)):
        if block["kind"] == "ini" and page in DECKS:
            write(os.path.join(folder, DECKS[page]), block["text"])
        if block["kind"] == "" and COMMAND.search(block["text"]) and not block["skip"]:
            print(f"{page}: a block of commands is not marked sh:\n{block['text']}")
            faults += 1
        if block["kind"] != "sh" or block["skip"]:
            continue
        for line in block["text"].replace("\\\n", " ").splitlines():
            count += 1
            faults += not run(folder, page, line)
    return count, faults


def main():
    folder = make_folder(os.path.abspath(sys.argv[1]))
    pages = [page for page in PAGES if os.path.exists(os.path.join(SOURCE, page))]
    results = [check_page(folder, page) for page in pages]
    print(f"{sum(r[0] for r in results)} commands of {len(pages)} pages")
    sys.exit(1 if sum(r[1] for r in results) else 0)


main()
