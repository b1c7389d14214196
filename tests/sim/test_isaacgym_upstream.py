"""What MAPush itself computes, against this project's task, on the same states; and the eight bugs of the field notes.

MAPush's real code runs over MuJoCo, by this project's Isaac Gym API, with its own rewards, resets and statistics where
a test compares them.
"""

import argparse
import dataclasses
import gc
import json
import subprocess
import sys

import pytest
import torch

from mapush_stack.envs.push_env import PushEnv, Step
from mapush_stack.errors import UserError
from mapush_stack.sim import isaacgym, mqe
from mapush_stack.sim.simulator import SimulationRequest
from mapush_stack.task import observations, rewards, terminations
from mapush_stack.task.geometry import measure, rotate, wrap_to_pi
from mapush_stack.task.state import SimState
from tests.cli import runner
from tests.conftest import SMALL, outcome, small_config

pytestmark = pytest.mark.usefixtures("mapush")

# MAPush's names of the reward terms, and how many robots' shares of ours are in what it adds up: it counts what the
# whole team gets once, and a pair's punishment once.
TERMS = {
    "success": ("reach_target_reward", 2),
    "exception": ("exception_punishment", 2),
    "target": ("distance_to_target_reward", 2),
    "approach": ("approach_to_box_reward", 1),
    "collision": ("collision_punishment", 2),
    "push": ("push_reward", 2),
    "ocb": ("ocb_reward", 1),
}


class Published:
    """MAPush's own environment with its wrapper, and what there is to see of a step of it."""

    def __init__(self, config, num_envs, expanded):
        root = mqe.find_source()
        from isaacgym import gymapi
        from mqe.envs.configs.go1_push_mid_config import Go1PushMidCfg
        from mqe.envs.npc.go1_object import Go1Object
        from mqe.envs.wrappers.go1_push_mid_wrapper import Go1PushMidWrapper
        from mqe.utils import make_env

        self.config, self.vertices = config, torch.tensor(config.object.task.vertices)
        box = root / "resources" / "objects" / "cuboid" / "SmallBox.urdf"
        settings = mqe.derive(Go1PushMidCfg, root, box, num_envs, 2)
        settings.rewards = type("rewards", (settings.rewards,), {"expanded_ocb_reward": expanded})
        arguments = argparse.Namespace(
            num_envs=num_envs,
            seed=1,
            headless=True,
            physics_engine=gymapi.SIM_PHYSX,
            sim_device="cpu",
            use_gpu=False,
            use_gpu_pipeline=False,
            num_threads=0,
            subscenes=0,
        )
        self.task, _ = make_env(Go1Object, settings, arguments)
        self.wrapper = Go1PushMidWrapper(self.task)
        self.before_reset = None
        check = self.task.check_termination

        def check_and_look():
            check()
            self.before_reset = self.look()

        self.task.check_termination = check_and_look

    def look(self):
        """(`SimState`, target `[N, 2]`) of the present root states."""
        roots = self.task.all_root_states.view(self.task.num_envs, -1, 13)
        reader = argparse.Namespace(
            num_robots=2, _roots=lambda: roots, _centre=self.task.env_origins + torch.tensor([12.0, 0.0, 0.0])
        )
        state = isaacgym.IsaacGymSimulator.state(reader)
        return SimState(*(part.clone() for part in state)), (roots[:, 3, :3] - reader._centre)[:, :2].clone()

    def place(self, env_ids, distance, apart=0.6):
        """Put the target `distance` m beyond the object, and robots so far apart behind it that look at it."""
        from isaacgym import gymtorch

        roots = self.task.all_root_states.view(self.task.num_envs, -1, 13)
        for env in env_ids:
            box = roots[env, 2, :2]
            roots[env, 3, :2] = box + torch.tensor([distance, 0.0])
            roots[env, 0, :2] = box + torch.tensor([-1.0, 0.5 * apart])
            roots[env, 1, :2] = box + torch.tensor([-1.0, -0.5 * apart])
            roots[env, :2, 3:7] = torch.tensor([0.0, 0.0, 0.0, 1.0])
            roots[env, 2, 3:7] = torch.tensor([0.0, 0.0, 0.3827, 0.9239])
        roots[env_ids, ..., 7:] = 0.0
        self.task.gym.set_actor_root_state_tensor(self.task.sim, gymtorch.unwrap_tensor(self.task.all_root_states))


def compare_a_step(theirs, action):
    """Step MAPush; compare its observations, ends and reward terms with this project's; returns ours by name."""
    wrapper, config = theirs.wrapper, theirs.config
    task, target_object = config.task, config.object.task
    (before, old_target), ages = theirs.look(), theirs.task.episode_length_buf.clone()
    sums = {name: float(value) for name, value in wrapper.reward_buffer.items()}
    observed, reward, terminated, _ = wrapper.step(action)
    pushed, _ = theirs.before_reset
    now, target = theirs.look()
    healthy = torch.ones(len(ages), dtype=torch.bool)
    ending = terminations.evaluate(
        task,
        target_object,
        torch.tensor([0.45, 0.45]),
        pushed,
        measure(task, theirs.vertices, pushed, old_target),
        ages + 1,
        ~healthy,
    )
    assert torch.equal(ending.done, terminated.bool())
    assert torch.equal(ending.finished, theirs.task.finished_buf)
    assert torch.equal(ending.exceptional > 0, theirs.task.exception_buf)
    # Quirk (a): where an episode ended, all distances are the new one's, and so is the target of the old distance.
    seen = measure(task, theirs.vertices, now, target)
    previous = measure(task, theirs.vertices, before, target)
    step = rewards.Transition(task, seen, previous, ending.finished, ending.exceptional, None, None)
    ours = dict(zip(rewards.active_terms(task), rewards.weighted_terms(step)))
    assert set(ours) == set(TERMS)
    for name, (published, shares) in TERMS.items():
        added = float(wrapper.reward_buffer[published]) - sums[published]
        wanted = float(ours[name].double().sum()) / shares
        assert abs(added - wanted) < 1e-4 + 1e-4 * abs(wanted), (name, added, wanted)
        assert ours[name].isfinite().all()
    assert torch.allclose(sum(ours.values()), reward, atol=2e-5)
    # Quirk: where an episode ended, positions are the new one's but headings the old one's.
    yaw = torch.where(ending.done.unsqueeze(-1), pushed.robot_rpy[..., 2], now.robot_rpy[..., 2])
    mine = observations.observe(task, target_object, now, target, yaw)
    difference = mine - observed
    difference[..., [4, 7]] = wrap_to_pi(difference[..., [4, 7]])
    assert difference.abs().max() < 1e-3
    return ours


@pytest.mark.parametrize("expanded", [False, True])
def test_every_reward_term_is_mapushs(expanded):
    config = small_config(f"task.ocb_expanded={str(expanded).lower()}", preset="paper")
    theirs = Published(config, 24, expanded)
    theirs.wrapper.reset()
    forward = torch.zeros(24, 2, 3)
    forward[..., 0] = 1.0
    theirs.wrapper.step(0 * forward)  # its first step has no last distance yet
    seen = dict.fromkeys(TERMS, 0)
    generator = torch.Generator().manual_seed(0)
    for count in range(120):
        if count in (0, 60):
            theirs.place(range(6), 1.2)
            theirs.place(range(6, 9), 2.0, apart=0.2)
        action = torch.rand(24, 2, 3, generator=generator) * 2 - 1
        action[:6] = forward[:6]
        ours = compare_a_step(theirs, action)
        for name, values in ours.items():
            seen[name] += int((values != 0).sum())
    assert seen["success"] >= 24 and seen["exception"] >= 12 and seen["push"] > 100 and all(seen.values()), seen


def test_mapushs_time_limit_is_ours():
    config = small_config(preset="paper")
    theirs = Published(config, 4, False)
    theirs.wrapper.reset()
    theirs.wrapper.step(torch.zeros(4, 2, 3))
    theirs.place(range(4), 2.5)
    # Its dt is a float32, so that ceil(20 / dt) is a step more than the 1000 which its configuration means.
    assert theirs.task.max_episode_length == 1001
    theirs.task.max_episode_length = 1000
    theirs.task.episode_length_buf[:] = torch.tensor([998, 999, 1000, 500])
    for _ in range(4):
        compare_a_step(theirs, torch.zeros(4, 2, 3))


# The eight bugs


def make(num_envs=4, *overrides):
    asked_for = ("sim.backend=isaacgym", "sim.robot=go1", "sim.device=cpu", f"sim.num_envs={num_envs}")
    config = small_config(*asked_for, *overrides)
    friction, cpu = torch.full((num_envs,), 0.55), torch.device("cpu")
    request = SimulationRequest(config.sim, config.object.body, config.team_kinds, friction, 0, cpu)
    return PushEnv(config.task, config.object.task, isaacgym.IsaacGymSimulator(request), 0)


@pytest.mark.parametrize("multiplier, pairs", [(None, 2**23), ("3", 3 * 2**23)])
def test_1_contact_pairs_are_not_multiplied(monkeypatch, multiplier, pairs):
    if multiplier:
        monkeypatch.setenv("MAPUSH_CONTACT_PAIR_MULTIPLIER", multiplier)
    assert make().simulator.task.sim_params.physx.max_gpu_contact_pairs == pairs


def test_1_contact_pairs_mapush_as_published_is_refused(mapush_published):
    environment = {**runner.environment(), "MAPUSH_SRC": str(mapush_published)}
    command = ["evaluate", "--pretrained", "cuboid-go1", "--set", "sim.backend=isaacgym", "--set", "sim.device=cpu"]
    out, err = run(command, environment, code=2)
    advice = f"run: mapush patches apply contact-pairs --target {mapush_published}"
    assert err.splitlines()[-1].endswith(advice) and not out


def test_1_contact_pairs_a_multiplier_that_is_none_is_refused(monkeypatch):
    monkeypatch.setenv("MAPUSH_CONTACT_PAIR_MULTIPLIER", "five")
    with pytest.raises(UserError, match="MAPUSH_CONTACT_PAIR_MULTIPLIER must be an integer of at least 1, not 'five'"):
        mqe.find_source()


def test_2_statistics_do_not_grow():
    env = make(8)
    env.reset()

    def held():
        gc.collect()
        tensors = sum(thing.numel() for thing in gc.get_objects() if type(thing) is torch.Tensor)
        task, statistics = vars(env.simulator.task), vars(env.statistics)
        lists = sum(len(v) for v in (*task.values(), *statistics.values()) if isinstance(v, (list, dict, tuple)))
        return tensors, lists

    action = torch.zeros(8, 2, 3)
    sizes = []
    for _ in range(3):
        for _ in range(12):
            env.step(action)
        env.episodes.age += 10_000  # episodes end, and new ones begin
        env.step(action)
        sizes.append(held())
    assert sizes[0] == sizes[1] == sizes[2]


def test_3_mapush_gets_a_namespace_and_a_configuration_of_its_own(monkeypatch):
    from mqe import utils
    from mqe.envs.configs.go1_push_mid_config import Go1PushMidCfg

    given = []
    make_env = utils.make_env
    monkeypatch.setattr(utils, "make_env", lambda *arguments: given.extend(arguments) or make_env(*arguments))
    env = make(4)
    _, configuration, arguments = given
    assert type(arguments) is argparse.Namespace and arguments.task == mqe.TASK and arguments.num_envs == 4
    assert configuration.env.num_envs == 4 and configuration.env.record_video is False
    assert issubclass(configuration, Go1PushMidCfg) and Go1PushMidCfg.env.num_envs == 10
    # MAPush keeps what the controller observes on its configuration's classes: two environments would share it.
    env.reset()
    assert hasattr(env.simulator.task.obs_buf, "dof_pos") and not hasattr(Go1PushMidCfg.obs, "dof_pos")


def test_4_commands_are_envs_by_agents_by_3():
    env = make(5)
    env.reset()
    commands = (torch.arange(30.0).view(5, 2, 3) - 15.0) / 40.0
    env.simulator.step(commands, 50)
    path = env.simulator.step(commands, 100)
    scales = torch.tensor([2.0, 2.0, 0.25])
    assert torch.allclose(env.simulator.task.locomotion_obs[:, 3:6].view(5, 2, 3), commands * scales)
    assert torch.allclose(path.robot_ang_vel[..., 2].mean(0), commands[..., 2], atol=0.15)
    ahead = rotate(path.robot_lin_vel[..., :2], -path.robot_rpy[..., 2]).mean(0)
    assert torch.allclose(ahead, commands[..., :2], atol=0.15)


def test_5_and_6_a_step_is_tensors_without_info_dicts_or_available_actions():
    env = make(4)
    env.reset()
    step = env.step(torch.zeros(4, 2, 3))
    assert [field.name for field in dataclasses.fields(Step)] == [
        "observations",
        "state",
        "rewards",
        "terminated",
        "truncated",
        "final_state",
        "episode",
        "path",
        "final",
        "final_target",
        "final_sight",
    ]
    for tensor in outcome(step):
        assert isinstance(tensor, torch.Tensor) and len(tensor) == 4
    assert env.simulator.task.extras == {}


def run(command, environment, code=0, cwd=None):
    done = subprocess.run(
        [sys.executable, "-m", "mapush_stack", *command],
        env=environment,
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
    return done.stdout, done.stderr


def test_7_and_8_a_training_logs_by_itself_under_the_tasks_name(mapush, tmp_path):
    tensorboard = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    environment = {**runner.environment(), "MAPUSH_SRC": str(mapush)}
    small = [override for override in SMALL if not override.startswith("sim.backend")]
    overrides = [*small, "sim.device=cpu", "task.episode_seconds=2"]
    asked_for = ["train", "--backend", "isaacgym", "--robot", "go1", "--results", "results"]
    out, _ = run([*asked_for, *overrides], environment, cwd=str(tmp_path))
    assert "isaacgym on cpu" in out and "trained at 480 steps" in out and "LeggedRobotField" not in out
    (path,) = tmp_path.glob("results/mapush/go1push_mid-cuboid/happo/*/seed-*")
    assert "success" in out  # the evaluation, in a process of its own
    log = tensorboard.EventAccumulator(str(path / "logs"))
    log.Reload()
    assert {"rewards/approach_progress", "agent0/policy_loss", "perf/fps"} <= set(log.Tags()["scalars"])
    checkpoint = str(path / "models" / "rl_model_480_steps")
    out, _ = run(["evaluate", checkpoint, "--json"], environment)
    (row,) = json.loads(out)
    assert row["episodes"] == 4 and row["path"] == checkpoint
