"""Files of demonstrations: what is in them, what a training makes of them, and what is refused."""

import json

import numpy as np
import pytest
import torch

from mapush_stack.errors import UserError
from mapush_stack.training import demonstrations
from tests.conftest import kinematic_env, small_config

EASY = ["task.episode_seconds=1.0", "task.success_distance=2.0"]
"""Many episodes succeed at once, others end by the time limit."""


def recorded(*overrides, each=2, **options):
    """Demonstrations of random actions, and the observations and states `[D, ...]` that were seen before each."""
    config = small_config(*EASY, *overrides, **options)
    env, seen, generator = kinematic_env(config), [], torch.Generator().manual_seed(1)

    def act(observations):
        seen.append([part.clone() for part in env.observe()])
        return 2 * torch.rand(*observations.shape[:2], env.spec.action_size, generator=generator) - 1

    recorder = demonstrations.Recorder(act, env, each)
    observations, _ = env.reset()
    while recorder.episodes < each * env.num_envs:
        step = env.step(recorder.act(observations))
        recorder.on_step(step)
        observations = step.observations
    shown = recorder.demonstrations(config)
    ordered = [torch.cat([torch.stack([one[part][env] for one in seen[rows]]) for rows, env in recorder._parts()])
               for part in (0, 1)]  # fmt: skip
    return shown, ordered


@pytest.fixture
def file(tmp_path):
    shown, _ = recorded()
    demonstrations.save(shown, tmp_path / "demo.npz")
    return tmp_path / "demo.npz"


@pytest.mark.parametrize(
    "overrides",
    [
        [],
        ["task.goal=pose", "task.pose_distance=2.0", "task.pose_angle=180"],
        ["task.observation=sets", "task.placement=apart", "task.team_size=[1,2]"],
        ["task.observation=sets", "task.global_state=observation", "learner.algorithm=mappo"],
    ],
)
def test_what_was_seen_is_computed_from_what_was_kept(tmp_path, overrides):
    shown, (observations, states) = recorded(*overrides)
    assert shown.success.any() and not shown.success.all()
    demonstrations.save(shown, tmp_path / "demo.npz")
    loaded = demonstrations.load(tmp_path / "demo.npz")
    assert loaded.config == shown.config
    for name, tensor in demonstrations._tensors(shown).items():
        assert torch.equal(demonstrations._tensors(loaded)[name], tensor), name
    examples = demonstrations.examples(loaded, shown.config, tmp_path)
    keep = shown.success.repeat_interleave(shown.lengths)
    assert torch.allclose(examples.observations, observations[keep], atol=1e-5)
    assert torch.allclose(examples.states, states[keep], atol=1e-5)
    assert torch.equal(examples.actions, shown.action[keep])


def test_returns_are_discounted_sums_of_an_episode():
    shown, _ = recorded()
    shown = shown._replace(success=torch.ones_like(shown.success))
    examples = demonstrations.examples(shown, shown.config, "demo.npz")
    gamma, wanted = shown.config.learner.gamma, []
    for success, reward in zip(shown.success, torch.split(shown.reward.mean(-1), shown.lengths.tolist())):
        if success:
            wanted += [sum(gamma**k * float(r) for k, r in enumerate(reward[begin:])) for begin in range(len(reward))]
    assert torch.allclose(examples.returns.squeeze(-1), torch.tensor(wanted), atol=1e-5)


@pytest.mark.parametrize(
    "overrides, options, words",
    [
        (["task.action_repeat=10"], {}, "task.action_repeat=5, and this training has 10"),
        (["task.goal=pose"], {}, "task.goal=position, and this training has pose"),
        (["task.command_limit=[1,1,1]"], {}, "task.command_limit=[0.5,0.5,0.5]"),
        (["task.rewards.push=1"], {}, "set learner.demonstrations.critic_epochs=0"),
        (["team=[planar,rover]"], {}, "team=[planar,planar], and this training has [planar,rover]"),
        (["team=[planar,planar,planar]"], {}, "team=[planar,planar]"),
        ([], {"object_name": "tblock"}, "shows the object cuboid, and this training pushes the tblock"),
        (["object.task.symmetry_fold=2"], {}, "pushes the cuboid, of other shape or mass"),
    ],
)
def test_demonstrations_of_something_else_are_refused(overrides, options, words):
    shown, _ = recorded()
    with pytest.raises(UserError) as refused:
        demonstrations.examples(shown, small_config(*EASY, *overrides, **options), "demo.npz")
    assert words in str(refused.value) and str(refused.value).startswith("demo.npz ")


def test_other_layouts_limits_and_rewards_are_no_hindrance():
    shown, _ = recorded()
    others = ["task.observation=cos_sin", "task.episode_seconds=9", "task.rewards.push=1", "sim.num_envs=4"]
    config = small_config(*EASY, *others, "learner.demonstrations.critic_epochs=0")
    assert len(demonstrations.examples(shown, config, "demo.npz").actions)


def test_failures_alone_are_refused():
    shown, _ = recorded()
    with pytest.raises(UserError, match=r"none of the 16 episodes in demo\.npz succeeds"):
        demonstrations.examples(shown._replace(success=torch.zeros(16, dtype=torch.bool)), shown.config, "demo.npz")


def changed(arrays, **others):
    return {name: value for name, value in {**arrays, **others}.items() if value is not None}


def about(arrays, **others):
    content = {**json.loads(bytes(arrays["about"])), **others}
    return changed(arrays, about=np.frombuffer(json.dumps(content).encode(), np.uint8))


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda a: {"weights": np.zeros(3)}, "holds no demonstrations"),
        (lambda a: changed(a, action=None), "it has no array action"),
        (lambda a: changed(a, action=a["action"][..., :2]), "its array action is float32"),
        (lambda a: changed(a, action=a["action"].astype(np.float64)), "its array action is float64"),
        (lambda a: changed(a, reward=a["reward"] * np.nan), "its array reward holds numbers that are not finite"),
        (lambda a: changed(a, lengths=-a["lengths"]), "its array lengths holds numbers that are no lengths"),
        (lambda a: changed(a, lengths=a["lengths"][:-1]), "its array lengths is int64 [15]"),
        (lambda a: changed(a, other=a["reward"]), "its array other has no place there"),
        (lambda a: changed(a, about=np.zeros(4, np.uint8)), "cannot be used as demonstrations"),
        (lambda a: changed(a, about=np.zeros(4)), "cannot be used as demonstrations"),
        (lambda a: about(a, schema=99, version="7.0"), "written by mapush_stack 7.0"),
        (lambda a: about(a, config=[]), "holds no configuration"),
        (lambda a: about(a, config={"schema": 2}), "cannot be used as demonstrations"),
    ],
)
def test_damaged_files_are_refused(file, change, words):
    with np.load(file) as arrays:
        np.savez(str(file), **change(dict(arrays)))
    with pytest.raises(UserError) as refused:
        demonstrations.load(file)
    assert words in str(refused.value) and str(file) in str(refused.value) and "\n" not in str(refused.value)


def test_what_could_not_be_saved_is_refused_before_it_is_recorded(file, tmp_path):
    config = small_config()
    for path, episodes, words in (
        (file, 3, "is not written over"),
        (tmp_path / "demo.txt", 3, r"must end in \.npz"),
        (tmp_path / "no/demo.npz", 3, "is not a folder"),
        (tmp_path / "demo2.npz", 10**6, r"has room for \d+ episodes"),
    ):
        with pytest.raises(UserError, match=words):
            demonstrations.check_file(path, config, episodes)
    with pytest.raises(UserError, match="is a family"):
        demonstrations.check_file(
            tmp_path / "demo2.npz",
            small_config("task.observation=sets", "task.placement=apart", object_name="random"),
            3,
        )
    with pytest.raises(UserError, match="know no obstacles"):
        demonstrations.check_file(tmp_path / "demo2.npz", small_config("task.obstacles.arena=[14,14]"), 3)
    demonstrations.check_file(tmp_path / "demo2.npz", config, 1000)
