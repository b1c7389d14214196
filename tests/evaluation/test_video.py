"""Looks change nothing of the physics, and what is shown is what happened."""

import numpy as np
import pytest
import torch

from tests.conftest import small_config

pytestmark = pytest.mark.usefixtures("mujoco")


def scene_of(robot, object_name):
    from mapush_stack.envs.factory import make_simulator

    config = small_config(f"sim.robot={robot}", "sim.num_envs=1", object_name=object_name)
    kinds = [robot] * config.object.task.num_robots
    return config, make_simulator(config.sim, config.object.body, kinds, torch.tensor([0.5]), 0).team


@pytest.mark.parametrize("robot", ["planar", "go1"])
@pytest.mark.parametrize("object_name", ["cuboid", "tblock", "cylinder"])
def test_looks_do_not_change_the_physics(robot, object_name):
    import mujoco

    from mapush_stack.sim import scene
    from mapush_stack.sim.visuals import Stage

    config, team = scene_of(robot, object_name)
    bare = scene.build(config.object.body, team).compile()
    dressed = Stage(config.object.body, team, 1.0).model
    assert (bare.nq, bare.nv, bare.nu) == (dressed.nq, dressed.nv, dressed.nu)
    for body in map(bare.body, range(bare.nbody)):
        other = dressed.body(body.name)
        assert other.mass == body.mass and (other.inertia == body.inertia).all() and (other.ipos == body.ipos).all()
    assert dressed.body_mass.sum() == bare.body_mass.sum()
    states = []
    for model in (bare, dressed):
        data = mujoco.MjData(model)
        data.qpos[2] = 0.26
        data.qvel[:2] = 1.0  # into the team, which stands at the origin
        data.ctrl[:] = 0.2
        mujoco.mj_step(model, data, 5)
        assert data.ncon > 0
        states.append(np.concatenate((data.qpos, data.qvel)))
    assert (states[0] == states[1]).all()


def test_every_control_step_is_shown_and_a_second_of_the_end():
    from mapush_stack.envs.factory import make_env
    from mapush_stack.evaluation.performance import perform

    config = small_config("sim.num_envs=1", "task.episode_seconds=0.5")
    env = make_env(config.task, config.object, config.sim, seed=3)
    shots = list(perform(lambda observations: torch.zeros(1, 2, 3), env, 2))
    first = [shot for shot in shots if shot.episode == 0]
    assert [shot.episode for shot in shots] == sorted(shot.episode for shot in shots) and shots[-1].episode == 1
    running = [shot for shot in first if shot.mood == "pushing"]
    assert np.allclose([shot.seconds for shot in running], np.arange(len(running)) * 0.02)
    assert len(first) - len(running) == 50 and {shot.mood for shot in first[len(running) :]} == {"failure"}
    assert len(running) == 26 and first[-1].cause == "time_limit"
    assert first[0].goal != shots[-1].goal
    assert (first[-1].qpos == running[-1].qpos).all()


def test_the_camera_keeps_everything_in_the_picture_and_does_not_jump():
    from mapush_stack.evaluation.camera import Camera
    from mapush_stack.evaluation.performance import Shot

    camera, goal = Camera(16 / 9, 0.85), (2.5, 0.5)
    robots = np.array([[-1.2, 0.1, 0.3], [0.0, -1.2, 0.3]])
    camera.follow(Shot(0, 0.0, np.zeros(0), goal, "running"), np.zeros(3), robots)
    before, distance = camera.looking_at, camera.distance
    assert 3.0 < distance < 9.0
    camera.follow(Shot(0, 0.02, np.zeros(0), goal, "running"), np.array([0.5, 0, 0]), robots)
    assert 0 < np.linalg.norm(camera.looking_at - before) < 0.02
    camera.follow(Shot(1, 0.0, np.zeros(0), (-2.0, 0.0), "running"), np.zeros(3), robots)
    assert camera.looking_at[0] < -0.5
