"""Stands for a trial: `fake_trial.py REQUEST` holds memory as FAKE says and ends as FAKE says.

FAKE is JSON: `fixed` and `each` are MiB, `bad` the size from which on it ends by `end`. With FAKE_NVML_STATE the memory
is a card's, that is, a number in that file.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

FAKE = json.loads(os.environ["FAKE"])


def hold(mib, shown):
    """Have so much memory, or say so."""
    if "FAKE_NVML_STATE" not in os.environ:
        return b"x" * int(mib * 2**20)
    line = f"{1000 + mib:.0f}" + (f" {os.getpid()} {mib:.0f}" if shown else "")
    state = Path(os.environ["FAKE_NVML_STATE"])
    state.with_suffix(".new").write_text(line)
    state.with_suffix(".new").replace(state)  # the library may be reading it
    return None


def die(number):
    signal.signal(number, signal.SIG_DFL) if number != signal.SIGKILL else None
    os.kill(os.getpid(), number)


def main():
    request = json.loads(Path(sys.argv[1]).read_text())
    size = request["config"]["sim"]["num_envs"]
    with Path(os.environ["FAKE_CALLS"]).open("a") as calls:
        calls.write(f"{size} {os.environ.get('MAPUSH_CONTACT_PAIR_MULTIPLIER', '')}".strip() + "\n")
    multiplier = int(os.environ.get("MAPUSH_CONTACT_PAIR_MULTIPLIER", "1"))
    held = hold(FAKE["fixed"] * multiplier + FAKE["each"] * size, FAKE.get("shown"))
    time.sleep(0.12)
    end = FAKE["end"] if size >= FAKE.get("bad", 1e9) else ""
    print(*FAKE.get("prints", []) if end else ["run directory: x"], sep="\n", flush=True)
    if end == "hang":
        time.sleep(600)
    if end.startswith("SIG"):
        die(getattr(signal, end))
    if end:
        sys.exit(int(end))
    pairs = {"available": 2**23 * multiplier, "used": 40 * size, "exact": False}
    result = {"backend": "fake", "device": "fake", "fps": 1000.0 * size / (1 + size / 1000), "updates": 1}
    result.update(torch_mib=None, host_mib=None, contact_pairs=pairs if FAKE.get("pairs") else None)
    Path(request["result"]).write_text(json.dumps(result))
    del held


main()
