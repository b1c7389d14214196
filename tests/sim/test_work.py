"""Who did the work: scripted pushes whose shares are known."""

import pytest
import torch

from mapush_stack.envs.factory import make_env
from mapush_stack.task.metrics import work_evenness, work_share
from mapush_stack.task.resets import draw_start
from tests.conftest import small_config

pytestmark = pytest.mark.usefixtures("mujoco")


def pushed(backend, robot, places, commands, seconds=4.0, friction=0.5):
    """Work in J of robots that start at `places` (x, y, yaw) and hold `commands`; and how far the cuboid came, m."""
    kernel = backend == "kernel"
    if backend != "mujoco":
        pytest.importorskip("mujoco_warp")
        backend = "warp"
    far = ["task.target_distance=[50,50]", "task.episode_seconds=60", "task.max_roll=10"]
    config = small_config(
        f"sim.backend={backend}", f"sim.robot={robot}", "sim.device=cpu", "sim.num_envs=1", *far,
        f"sim.planar.fused={str(kernel).lower()}",
        f"object.body.friction=[{friction},{friction}]", f"object.task.num_robots={len(places)}",
    )  # fmt: skip
    env = make_env(config.task, config.object, config.sim, 0, measure_work=True)
    env.reset()
    zero = torch.zeros(1, dtype=torch.int64)
    start = draw_start(config.task, config.object.task, 0, zero, zero, env.episodes.heights).state
    place = torch.tensor([places], dtype=torch.float32)
    still = {name: torch.zeros_like(getattr(start, name)) for name in ("robot_rpy", "robot_lin_vel", "robot_ang_vel")}
    still["robot_rpy"][..., 2] = place[..., 2]
    still["robot_pos"] = torch.cat((place[..., :2], start.robot_pos[..., 2:]), dim=-1)
    pose = {"object_pos": torch.tensor([[0.0, 0.0, 0.25]]), "object_rpy": torch.zeros(1, 3)}
    env.simulator.reset(zero, start._replace(**still, **pose))
    limit = torch.tensor(config.task.command_limit)
    for _ in range(round(seconds / 0.1)):
        step = env.step(torch.tensor([commands]) / limit)
    assert not step.episode.done.any()
    return step.episode.work[0], float(step.path.object_pos[-1, 0, 0])


AHEAD, BEHIND = (0.4, 0.0, 0.0), (-0.9, 0.0, 0.0)


@pytest.mark.parametrize("backend", ["mujoco", "warp", "kernel"])
def test_one_pushes(backend):
    done, way = pushed(backend, "planar", [BEHIND, (0.0, 3.0, 0.0)], [AHEAD, (0.0, 0.0, 0.0)])
    assert work_share(done).tolist() == pytest.approx([1.0, 0.0], abs=1e-6)
    assert float(work_evenness(done)) == pytest.approx(0.0, abs=1e-5)
    # What the floor takes: mean of its coefficient 0.1 and the object's 0.5, 4 kg.
    assert way > 0.8 and float(done[0]) == pytest.approx(0.3 * 4 * 9.81 * way, rel=0.15)


@pytest.mark.parametrize("backend", ["mujoco", "warp", "kernel"])
def test_two_push(backend):
    done, way = pushed(backend, "planar", [(-0.9, 0.35, 0.0), (-0.9, -0.35, 0.0)], [AHEAD, AHEAD])
    assert way > 1.0 and work_share(done).tolist() == pytest.approx([0.5, 0.5], abs=0.06)
    assert float(work_evenness(done)) > 0.98


def test_one_hinders():
    done, way = pushed("mujoco", "planar", [BEHIND, (0.9, 0.0, 3.1416)], [(0.5, 0.0, 0.0), (0.1, 0.0, 0.0)])
    share = work_share(done)
    assert way > 0.2 and share[0] > 0.5 and share[1] < -0.1
    assert float(share.abs().sum()) == pytest.approx(1.0) and float(work_evenness(done)) == pytest.approx(0.0, abs=1e-5)


def test_a_push_that_turns_the_object_is_work():
    corner = [(-0.9, 0.45, 0.0), (0.9, -0.45, 3.1416)]
    done, way = pushed("mujoco", "planar", corner, [AHEAD, AHEAD], seconds=2.0)
    assert abs(way) < 0.15 and (done > 0.5).all()
    assert work_share(done).tolist() == pytest.approx([0.5, 0.5], abs=0.05)


def test_legs_count():
    done, way = pushed("mujoco", "go1", [(-1.0, 0.0, 0.0), (0.0, 3.0, 0.0)], [AHEAD, (0.0, 0.0, 0.0)], 5.0)
    assert way > 0.5 and work_share(done).tolist() == pytest.approx([1.0, 0.0], abs=1e-6)
    assert float(done[0]) == pytest.approx(0.3 * 4 * 9.81 * way, rel=0.3)


def test_shares_and_evenness_by_hand():
    work = torch.tensor([[3.0, 1.0], [2.0, -2.0], [0.0, 0.0], [1.0, 1.0]])
    assert work_share(work).tolist() == [[0.75, 0.25], [0.5, -0.5], [0.0, 0.0], [0.5, 0.5]]
    assert work_evenness(work).tolist() == pytest.approx([0.811278, 0.0, 0.0, 1.0], abs=1e-5)
    assert work_evenness(torch.tensor([[5.0]])).tolist() == [1.0]


def test_measuring_changes_nothing():
    config = small_config()
    plain, measured = (
        make_env(config.task, config.object, config.sim, 3, measure_work=measured) for measured in (False, True)
    )
    action = torch.ones(8, 2, 3)
    for env in (plain, measured):
        env.reset()
    for _ in range(60):
        one, other = plain.step(action), measured.step(action)
        assert all(torch.equal(a, b) for a, b in zip(one.path, other.path))
    assert one.episode.work.shape == (8, 0) and other.episode.work.shape == (8, 2)
    assert "work" in measured.state_dict() and "work" not in plain.state_dict()


def test_it_is_the_sum_over_contacts():
    """Flank against flank, so that there are several contacts, and off the centre, so that the cuboid turns."""
    import mujoco
    import numpy as np

    from mapush_stack.sim import scene, work
    from mapush_stack.sim.team import Team

    config = small_config("sim.num_envs=1")
    model = scene.build(config.object.body, Team(config.sim, ["planar"], 0, torch.device("cpu")), 30, True).compile()
    data = mujoco.MjData(model)
    data.qpos[:] = [0, 0, 0.25, 1, 0, 0, 0, 0.3, -0.9, 0.0]
    data.ctrl[1] = 0.5  # to its left
    rows, expected, most = [], 0.0, 0
    for _ in range(150):
        mujoco.mj_step1(model, data)
        mujoco.mj_step2(model, data)
        rows.append([torch.tensor(part, dtype=torch.float64) for part in (data.sensordata, data.qpos, data.qvel)])
        count, jacobian, wrench = 0, np.zeros((3, model.nv)), np.zeros(6)
        for number in range(data.ncon):
            contact = data.contact[number]
            bodies = [model.body(model.geom_bodyid[geom]).name for geom in contact.geom]
            if sorted(bodies) != ["object", "robot0"]:
                continue
            count += 1
            mujoco.mj_contactForce(model, data, number, wrench)
            force = contact.frame.reshape(3, 3).T @ wrench[:3] * (1 if bodies[1] == "object" else -1)
            now = mujoco.MjData(model)
            now.qpos[:] = data.qpos
            mujoco.mj_kinematics(model, now)
            mujoco.mj_comPos(model, now)
            mujoco.mj_jac(model, now, jacobian, None, contact.pos, model.body("object").id)
            expected += float(force @ (jacobian @ data.qvel)) * model.opt.timestep
        most = max(most, count)
    sensed, qpos, qvel = (torch.stack(parts).unsqueeze(1) for parts in zip(*rows))
    found = work.work(sensed[..., work.sensors(model)], qpos, qvel, model.opt.timestep, 1).sum()
    assert most >= 2 and abs(float(data.qvel[5])) + abs(float(qpos[-1, 0, 6])) > 0.1
    assert expected > 2.0 and float(found) == pytest.approx(expected, rel=1e-3)
