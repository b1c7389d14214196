"""Runs snippets of Python in children of an interpreter that holds what OpenRL imports, and nothing of OpenRL.

torch, wandb, gym and the others take six seconds to import and OpenRL half a second; a fork saves the six for each
snippet. Reads a JSON list of (folder to put first on the path, code) and prints a list of (exit code, last line).
"""

import json
import os
import sys
import tempfile
import traceback
import warnings


def start(folder, code):
    """Runs `code` in a child; returns (process id, file of what it prints)."""
    file = tempfile.TemporaryFile()  # noqa: SIM115 (finish closes it)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
            sys.path.insert(0, folder)
            exec(code, {"__name__": "snippet"})
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
    return child, file


def finish(child, file):
    """(exit code, last line) of a child."""
    _, status = os.waitpid(child, 0)
    with file:
        file.seek(0)
        lines = file.read().decode(errors="replace").split("\n")
    return os.WEXITSTATUS(status), next((line for line in reversed(lines) if line.strip()), "")


def run_all(tasks, at_once=2):
    """The outcomes, in order."""
    running, outcomes = [], []
    for task in tasks:
        if len(running) == at_once:
            outcomes.append(finish(*running.pop(0)))
        running.append(start(*task))
    return outcomes + [finish(*child) for child in running]


def main():
    warnings.simplefilter("ignore")
    import cv2  # noqa: F401
    import gym  # noqa: F401
    import gymnasium  # noqa: F401
    import jsonargparse  # noqa: F401
    import pettingzoo  # noqa: F401
    import torch.utils.tensorboard
    import treevalue  # noqa: F401
    import wandb  # noqa: F401

    torch.set_num_threads(1)
    torch.optim.Adam([torch.zeros(1)])  # imports torch's compiler, seconds of it
    assert not any(name.split(".")[0] == "openrl" for name in sys.modules)
    print(json.dumps(run_all(json.load(sys.stdin))))


if __name__ == "__main__":
    main()
