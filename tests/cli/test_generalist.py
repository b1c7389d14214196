"""The shipped generalist with objects and teams that it was not trained with."""

import json

import pytest
import yaml

from tests.cli.runner import mapush

CORNERS = [[-0.7, -0.5], [0.9, -0.5], [0.3, 0.8], [-0.4, 0.7]]


@pytest.mark.parametrize(
    "name, team",
    [
        pytest.param("tblock", 3 * ["planar"], marks=pytest.mark.slow),
        pytest.param("random", 6 * ["planar"], marks=pytest.mark.slow),
        ("", ["go1", "planar"]),
    ],
)
def test_it_pushes(mujoco, tmp_path, name, team):
    if not name:
        name = tmp_path / "mine.yaml"
        part = {"shape": "prism", "size": [0.5], "vertices": CORNERS, "position": [0, 0, 0], "mass": 6.0}
        body = {"parts": [{**part, "inertia": [0.9, 0.9, 1.5]}]}
        name.write_text(yaml.safe_dump({"extends": "cuboid", "task": {"vertices": CORNERS}, "body": body}))
    team = ",".join(team)
    options = ["--pretrained", "generalist-planar", "--object", name, "--team", team, "--episodes=16", "--json"]
    out, _ = mapush("evaluate", *options, "--set=sim.backend=mujoco")
    row = json.loads(out)[0]
    assert row["valid_episodes"] == 16 and row["successes"] >= 15, row
