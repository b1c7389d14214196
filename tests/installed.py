"""Every verb of an installed `mapush`, run outside of the checkout.

`python tests/installed.py PYTHON EXAMPLES [VERB]...` runs them in the current, empty folder with the `mapush` of that
Python's environment. EXAMPLES is the folder of the example plug-in. `nox -s release` calls it.
"""

import os
import subprocess
import sys
from pathlib import Path

SMALL = [
    "sim.num_envs=8",
    "sim.threads=1",
    "training.rollout_length=4",
    "training.torch_threads=1",
    "training.total_steps=320",
    "training.checkpoint_interval=160",
    "learner.policy.network.hidden=[16]",
    "learner.critic.hidden=[16]",
    "learner.actor_minibatches=2",
    "learner.critic_minibatches=2",
    "evaluation.episodes=4",
]
PROBE = ["--device", "cpu", "--start", "8", "--max-envs", "16", "--growth", "2", "--updates", "1"]
RUN = "results/mapush/go1push_mid-cuboid/happo/default/*"
VERBS = {
    "train": [["train", "--backend", "mujoco", *SMALL]],
    "evaluate": [["evaluate", RUN], ["evaluate", "--pretrained", "cuboid-planar", "--episodes", "4"]],
    "runs": [["runs"]],
    "watch": [["watch", RUN, "--once"]],
    "diagnose": [["diagnose", RUN]],
    "compare": [["compare", RUN, RUN], ["compare", RUN, "--html", "report.html"]],
    "reproduce": [["reproduce", RUN, "--results", "again"]],
    "play": [["play", "--pretrained", "cuboid-go1", "--episodes", "1", "--record", "play.mp4", "--size", "64x64"]],
    "bench": [
        ["bench", "long-way", "--pretrained", "cuboid-planar", "--rows", "ours", "--layouts", "1", "--sets", "random-0"]
    ],
    "export": [["export", "cuboid-planar", "--onnx", "exported", "--check"], ["export", "go1", "--onnx", "walker"]],
    "deploy": [["deploy", "cuboid-planar", "--dry-run", "--seconds", "1"]],
    "convert": [["convert", "absent.pt", "actor.npz"]],
    "pretrained": [["pretrained"], ["pretrained", "cuboid-go1"]],
    "walk": [["walk", "test", "--robots", "2", "--minutes", "0.02", "--set", "sim.backend=mujoco"]],
    "vram-probe": [["vram-probe", *PROBE, *[word for word in SMALL if not word.startswith("sim.num_envs")]]],
    "gym": [["gym", "test"]],
    "guard": [["guard", "--", sys.executable, "-c", "print('done')"]],
    "triage": [["triage", "--run", f"{sys.executable} -c pass"]],
    "doctor": [["doctor", "--backend", "mujoco"]],
    "patches": [["patches", "list"]],
    "presets": [["presets"], ["presets", "paper", "--object", "tblock"]],
    "sweep": [["sweep", "--seeds", "1", "--backend", "mujoco", *SMALL]],
    "smoke": [["smoke", "--backend", "mujoco"]],
}
"""The commands of each verb, in an order in which each finds what it needs."""
PLUGIN = ["train", "--object", "plank", "--robot", "cart", "--backend", "mujoco", "task.rewards.calm=0.01", *SMALL]
OTHER_CODES = {"convert": {2}, "diagnose": {1}, "doctor": {1}, "vram-probe": {1}}
"""Exit codes besides 0 that mean an answer: something was found, a warning, no such file."""


def run(python: str, arguments: "list[str]") -> None:
    """One command, its output passed through; SystemExit if it fails."""
    words = [str(next(Path().glob(word), word)) if "*" in word else word for word in arguments]
    command = [str(Path(python).with_name("mapush")), *words]
    print("$ mapush", *words, flush=True)
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=600)
    good = {0, *OTHER_CODES.get(arguments[0], ())}
    if done.returncode not in good or "Traceback" in done.stdout or not done.stdout.strip():
        sys.exit(f"{done.stdout}\nexit code {done.returncode} of: mapush {' '.join(words)}")
    print(*done.stdout.splitlines()[-2:], sep="\n", flush=True)


def main() -> None:
    """Run the verbs that the command line names, or all of them and the plug-in."""
    python, examples, *wanted = sys.argv[1:]
    os.environ.pop("PYTHONPATH", None)
    where = "import mapush_stack; print(mapush_stack.__file__)"
    print(subprocess.check_output([python, "-c", where], text=True), end="")
    for verb in wanted or VERBS:
        for arguments in VERBS[verb]:
            run(python, arguments)
    if not wanted:
        run(python, ["train", "--plugin", str(Path(examples, "my_lab.py")), *PLUGIN[1:]])


if __name__ == "__main__":
    main()
