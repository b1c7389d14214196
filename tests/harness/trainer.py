"""Stands for anybody's training: `trainer.py [--FLAG] NUM_ENVS [STEPS]` holds memory, prints rates, writes files.

Flags: `hangs`, `leaks`, `leaves`, `crashes`, `dies`, `breaks`, `silent`, `lost` (no checkpoint), `counts`, `forever`.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

flags = {word[2:] for word in sys.argv if word.startswith("--")}
size, *rest = [int(word) for word in sys.argv[1:] if not word.startswith("--")]
multiplier = int(os.environ.get("MAPUSH_CONTACT_PAIR_MULTIPLIER", "1"))
print("Loading version 3", flush=True)
if "leaks" in flags and size >= 32:
    sys.exit("torch.cuda.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB")
if "breaks" in flags and size >= 32:
    raise KeyError("observation 3")
child = "import sys, time\nheld = b'x' * int(float(sys.argv[1]) * 2**20)\ntime.sleep(60)"
worker = subprocess.Popen([sys.executable, "-S", "-c", child, str(20 * multiplier + 1.5 * size)])
time.sleep(0.3)  # for the worker to have its memory
if "hangs" in flags and size >= 32:
    time.sleep(60)
print("training begins", flush=True)
for update in range(rest[0] if rest else 10**6):
    if "silent" not in flags:
        print(f"updates {update}/9" if "counts" in flags else f"| fps | {1000 * size:,} |", flush=True)
    if "crashes" in flags and update == 2:
        os.kill(os.getpid(), 11)
    time.sleep(0.1)
if "lost" not in flags:
    Path("model.pt").write_text("weights")
time.sleep(60 if "forever" in flags else 0)
if "leaves" not in flags:
    worker.kill()
    worker.wait()
if "dies" in flags:
    os.kill(os.getpid(), 11)
