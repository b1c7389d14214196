"""Runs exported policies with numpy and onnxruntime alone: `python run.py < inputs.jsonl`, a line for each decision.

A team's line is {"robots": [[x, y, yaw], ...], "object": [x, y, yaw], "target": [x, y]}; policy.json says the rest.
"""

import hashlib
import json
import sys
from pathlib import Path
from typing import Any, Dict

import numpy as np


class Graph:
    """One ONNX file, if it is the one that policy.json describes. What an output `next_x` was is its input `x`."""

    def __init__(self, folder: Path, name: str) -> None:
        import onnxruntime

        about, content = json.loads((folder / "policy.json").read_text())["graphs"][name], (folder / name).read_bytes()
        if hashlib.sha256(content).hexdigest() != about["sha256"]:
            raise SystemExit(f"{folder / name} is not the file that policy.json describes; export it again")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1  # such a small network is slower on several
        self._session = onnxruntime.InferenceSession(content, options, ["CPUExecutionProvider"])
        self.inputs, self.outputs = about["inputs"], list(about["outputs"])
        self._memory: Dict[str, Any] = {}

    def step(self, **values: Any) -> Dict[str, Any]:
        """Outputs by name, for inputs by name; the first axis of all is N."""
        if not self._memory:
            shapes = {name[5:]: self.inputs[name[5:]]["shape"][1:] for name in self.outputs if name[:5] == "next_"}
            self._memory = {name: np.zeros([len(values["command"]), *shape]) for name, shape in shapes.items()}
        given = {name: np.asarray({**self._memory, **values}[name], np.float32) for name in self.inputs}
        found = dict(zip(self.outputs, self._session.run(self.outputs, given)))
        self._memory = {name: found[f"next_{name}"] for name in self._memory}
        return found


class Team:
    """Every robot's graph."""

    def __init__(self, folder: Path) -> None:
        robots = json.loads((folder / "policy.json").read_text())["robots"]
        self._graphs = [Graph(folder, robot["graph"]) for robot in robots]

    def step(self, robots: Any, **others: Any) -> Dict[str, Any]:
        """`commands` `[N, A, 3]` for poses `[N, A, 3]`, the graphs' other inputs, and `senses0`, `way0` for robot 0"""
        own = [{name: others.get(f"{name}{i}") for name in ("senses", "way")} for i in range(len(self._graphs))]
        given = [{**others, **seen, "robots": np.roll(robots, -i, 1)} for i, seen in enumerate(own)]
        return {"commands": np.stack([graph.step(**one)["command"] for graph, one in zip(self._graphs, given)], axis=1)}


if __name__ == "__main__":
    here = Path(__file__).resolve().parent
    policy: Any = Graph(here, "walker.onnx") if (here / "walker.onnx").exists() else Team(here)
    for line in sys.stdin:
        outputs = policy.step(**{name: [value] for name, value in json.loads(line).items()})
        print(json.dumps({name: value[0].tolist() for name, value in outputs.items()}), flush=True)
