"""A copy of MAPush's source tree."""

import shutil

from mapush_stack.gym_api.walker import files

LEFT_OUT = shutil.ignore_patterns("results", "logs", "log", ".git", "__pycache__")


def copy(source, folder):
    """Copy `source`, with this project's walking networks where it lacks its own (over 4 MB); returns `folder`."""
    shutil.copytree(str(source), str(folder), ignore=LEFT_OUT)
    nets = [folder / "mqe/utils/locomotion_checkpoints/walk_these_ways" / name for name in files.NAMES.values()]
    if not all(path.is_file() for path in nets):
        for path in nets:
            if path.exists():
                path.unlink()
        files.write(nets[0].parent, files.load())
    return folder
