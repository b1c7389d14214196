"""The published policies score in the planar tier as they do in Isaac Gym."""

from pathlib import Path

import pytest

from mapush_stack.evaluation import policies, protocol

UPSTREAM = Path(__file__).resolve().parents[3] / "shared" / "data" / "upstream_policies"
ISAAC_GYM = {"cuboid_030M": 0.137, "cuboid_060M": 0.277, "cuboid_100M": 0.597}
"""Success in 300 episodes (the files' README)."""


@pytest.mark.skipif(not UPSTREAM.is_dir(), reason="the published policies are not beside this checkout")
@pytest.mark.usefixtures("mujoco")
def test_published_policies_are_within_twelve_points_of_isaac_gym_and_in_order():
    found = {}
    for name in ISAAC_GYM:
        (candidate,) = policies.find(UPSTREAM / f"{name}.npz", "", ["sim.threads=0"])
        env = policies.environment(candidate, 300, candidate.config.evaluation.seed)
        found[name] = protocol.summarize(protocol.run_episodes(policies.policy(candidate, env), env), 20.0).success_rate
    for name, expected in ISAAC_GYM.items():
        assert abs(found[name] - expected) <= 0.12, found
    assert sorted(found, key=found.get) == sorted(ISAAC_GYM, key=ISAAC_GYM.get), found
