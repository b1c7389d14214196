"""Prints the tables of docs/benchmarks.md for this machine: `python benchmarks/tables.py [--only TEXT] [--list]`.

The page is the list: its commands, in blocks under its headings, run one after the other. Those under "On a GPU" need
one, those under "On a CPU" see none. Those under "How well it learns" train for hours: they run only if `--only` names
their heading. The exit code is 1 if a command failed. `machine.py`, which compares with an earlier commit, fails if a
rate fell by 3 %.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parent.parent


def commands():
    """(heading of the part, heading of the section, command) of each command of the page."""
    part = section = ""
    in_block = False
    for line in (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("```"):
            in_block = not in_block
        elif in_block and part:
            yield part, section, line
        elif line.startswith("### "):
            section = line[4:]
        elif line.startswith("## "):
            part = section = line[3:]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", metavar="TEXT", default="", help="only sections whose heading contains this")
    parser.add_argument("--list", action="store_true", help="print the commands and run nothing")
    arguments = parser.parse_args()
    on_gpu = torch.cuda.is_available()
    chosen = [one for one in commands() if arguments.only in one[1] and (on_gpu or one[0] != "On a GPU")]
    if not arguments.only:
        chosen = [one for one in chosen if one[0] != "How well it learns"]
    if not chosen:
        parser.error(
            f"--only {arguments.only}: no section of docs/benchmarks.md that can run here has this in its heading"
        )
    failed = []
    search = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    for part, section, command in chosen:
        print(f"\n{section}: {command}", flush=True)
        variables = {**os.environ, "PATH": search, **({"CUDA_VISIBLE_DEVICES": ""} if part == "On a CPU" else {})}
        if not arguments.list and subprocess.run(command, shell=True, cwd=ROOT, env=variables).returncode:
            failed.append(command)
    if failed:
        sys.exit("\n".join(["failed:", *failed]))


if __name__ == "__main__":
    main()
