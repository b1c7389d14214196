"""The published policies score as they do in Isaac Gym, as planar bodies and on legs."""

from pathlib import Path

import pytest

from mapush_stack.evaluation import policies, protocol

UPSTREAM = Path(__file__).resolve().parents[3] / "shared" / "data" / "upstream_policies"
ISAAC_GYM = {"cuboid_030M": 0.137, "cuboid_060M": 0.277, "cuboid_100M": 0.597}
"""Success in 300 episodes (the files' README)."""


pytestmark = [
    pytest.mark.skipif(not UPSTREAM.is_dir(), reason="the published policies are not beside this checkout"),
    pytest.mark.usefixtures("mujoco"),
]


def success(name, robot, episodes):
    overrides = ["sim.threads=0", "sim.backend=mujoco", f"sim.robot={robot}"]
    (candidate,) = policies.find(UPSTREAM / f"{name}.npz", "", overrides)
    env = policies.environment(candidate, episodes, candidate.config.evaluation.seed)
    return protocol.summarize(protocol.run_episodes(policies.policy(candidate, env).act, env), 20.0).success_rate


@pytest.mark.parametrize("robot, margin", [("planar", 0.12), pytest.param("go1", 0.10, marks=pytest.mark.slow)])
def test_published_policies_score_as_in_isaac_gym_and_in_order(robot, margin):
    found = {name: success(name, robot, 300) for name in ISAAC_GYM}
    for name, expected in ISAAC_GYM.items():
        assert abs(found[name] - expected) <= margin, found
    assert sorted(found, key=found.get) == sorted(ISAAC_GYM, key=ISAAC_GYM.get), found


def test_the_published_policies_keep_their_order_on_legs():
    assert success("cuboid_030M", "go1", 60) + 0.1 < success("cuboid_100M", "go1", 60)
