"""Teams without one of their robots: what it does in the simulation."""

import pytest
import torch

from mapush_stack.evaluation.protocol import run_episodes, without
from tests.conftest import kinematic_env, small_config
from tests.envs.test_push_env import toward_object


@pytest.mark.parametrize("name", ["absent", "frozen"])
def test_one_robot_stands_and_the_other_plays_on(name):
    config = small_config("task.episode_seconds=2.0")
    env = kinematic_env(config, seed=1)
    env.absent = (1,) if name == "absent" else ()
    places = []

    def keep(step):
        places.append(step.path.robot_pos[..., :2])

    run_episodes(without(toward_object, [1]), env, keep)
    way = torch.cat(places)
    still, moved = way[:, :, 1], way[:, :, 0]
    # The last decision may already be of the next episode.
    assert torch.equal(still[0], still[40]) and (moved[0] - moved[40]).norm(dim=-1).min() > 0.1
    distance = still[0].norm(dim=-1)
    if name == "absent":
        assert torch.allclose(distance, torch.full((8,), config.task.target_distance[1] + 1.0), atol=1e-4)
    else:
        assert ((distance > 1.19) & (distance < 1.31)).all()


def test_the_same_resets_are_valid_without_a_robot():
    config = small_config("task.episode_seconds=0.2", "sim.num_envs=64")
    plain, other = (kinematic_env(config, seed=1) for _ in range(2))
    other.absent = (0,)
    valid = [run_episodes(toward_object, env).valid for env in (plain, other)]
    assert torch.equal(*valid) and not valid[0].all()
