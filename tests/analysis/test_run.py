"""Reading runs, from the files that trainings leave."""

import json
import math
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest

from mapush_stack.analysis import run
from mapush_stack.errors import UserError
from mapush_stack.training.log import MetricsLog
from tests.cli.runner import train_small

PUBLISHED = [0.0067, 0.0367, 0.1367, 0.1133, 0.2433, 0.2767, 0.4533, 0.5533, 0.5833, 0.5967]
CONSOLE = """2024-10-15 23:06:26,228 [INFO] Episode: {}/10
2024-10-15 23:06:51,588 [INFO] 
	average_step_reward: -349.46
	distance_to_target_reward: -146.06
	approach_to_box_reward: -94.4
	collision_punishment: -109.0

2024-10-15 23:06:51,601 [INFO] 
	policy_loss: -0.0005
	dist_entropy: {}

"""  # noqa: W291


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A real run of three updates."""
    pytest.importorskip("mujoco.batch", reason="MuJoCo 4 is not installed")
    return train_small(tmp_path_factory.mktemp("results"), "--no-evaluation")[1]


def log(folder, tags=("critic/value_loss",), steps=range(10, 60, 10), resumed=0):
    """Log 1, 2, 3, ... of every tag; returns the event file."""
    before = set(Path(folder).glob("*")) if Path(folder).is_dir() else set()
    with MetricsLog(folder, resumed) as writer:
        for index, step in enumerate(steps):
            writer.write(dict.fromkeys(tags, index + 1.0), step)
    return next(iter(set(folder.glob("*")) - before))


def test_a_run_of_ours_says_everything(trained):
    found = run.read(trained)
    assert (found.library, found.task, found.algorithm, found.seed) == ("mapush", "go1push_mid-cuboid", "happo", 1)
    assert found.config["learner"]["gamma"] == json.loads((trained / "config.json").read_text())["learner"]["gamma"]
    assert found.manifest["mapush_stack"] and not found.problems and not found.unknown and not found.running
    assert found.series["critic/value_loss"].steps.tolist() == [160, 320, 480]
    assert [steps for steps, _ in found.checkpoints] == [160, 320, 480] and found.total_steps == 480
    terms = [one.values for tag, one in found.series.items() if tag.startswith("rewards/")]
    assert np.allclose(found.series["average_step_reward"].values, np.sum(terms, axis=0))
    assert "average_step_reward" in found.derived
    # No episode ends in so short a run, which therefore knows nothing of success.
    assert "mapush/success_rate" in found.missing and "critic/value_loss" not in found.missing
    assert run.read(trained / "logs").name == found.name


def test_what_a_resumed_run_had_logged_after_its_checkpoint_counts_once(tmp_path):
    log(tmp_path, steps=(10, 20, 30))
    log(tmp_path, steps=(30, 40), resumed=20)
    found = run.read(tmp_path).series["critic/value_loss"]
    assert found.steps.tolist() == [10, 20, 30, 40]
    assert found.values.tolist() == [1, 2, 1, 2]


def test_a_resumed_run_forgets_even_what_it_does_not_log_again(tmp_path):
    log(tmp_path, ("critic/value_loss", "perf/fps"), steps=(10, 20, 30))
    log(tmp_path, steps=(40,), resumed=20)
    found = run.read(tmp_path)
    assert found.series["perf/fps"].steps.tolist() == [10, 20]
    assert found.series["critic/value_loss"].steps.tolist() == [10, 20, 40]


def test_a_half_written_record_is_a_problem_only_of_a_run_that_is_over(tmp_path):
    file = log(tmp_path)
    file.write_bytes(file.read_bytes()[:-7])
    found = run.read(tmp_path)
    assert found.running and not found.problems
    assert found.series["critic/value_loss"].steps.tolist() == [10, 20, 30, 40]
    (tmp_path / ".lock").touch()  # nobody holds it
    (problem,) = run.read(tmp_path).problems
    assert "half-written record" in problem and file.name in problem


def test_a_damaged_record_is_left_out_and_said(tmp_path):
    file = log(tmp_path)
    data = bytearray(file.read_bytes())
    data[data.rindex(b"critic/value_loss") - 3] ^= 1  # in the last record
    file.write_bytes(data)
    found = run.read(tmp_path)
    assert found.series["critic/value_loss"].steps.tolist() == [10, 20, 30, 40]
    assert "has 1 damaged of 6 records" in found.problems[0]


def test_a_file_is_read_up_to_where_it_makes_no_sense(tmp_path):
    file = log(tmp_path)
    whole = file.read_bytes()
    for tail in (bytes(64), struct.pack("<Q", 2**60) + bytes(30), b"\xff" * 100):
        file.write_bytes(whole + tail)
        found = run.read(tmp_path)
        assert len(found.series["critic/value_loss"].steps) == 5
        assert f"is damaged from byte {len(whole):,}" in found.problems[0]


def test_a_binary_file_named_events_is_said_and_the_rest_is_read(tmp_path):
    log(tmp_path)
    (tmp_path / "events").write_bytes(bytes(range(256)) * 20)
    found = run.read(tmp_path)
    assert len(found.series["critic/value_loss"].steps) == 5
    assert found.problems == ["events is not an event file of TensorBoard: it does not begin with a record"]
    with pytest.raises(UserError, match=r"nothing in .*events could be read: events is not an event file"):
        run.read(tmp_path / "events")


def test_what_is_no_run_is_refused_in_a_sentence(tmp_path):
    with pytest.raises(UserError, match="absent does not exist"):
        run.read(tmp_path / "absent")
    with pytest.raises(UserError, match="is empty; give the folder of a run"):
        run.read(tmp_path)
    (tmp_path / "notes.md").write_text("none")
    with pytest.raises(UserError, match="holds no logs of a training"):
        run.read(tmp_path)
    with pytest.raises(UserError, match="neither a run's folder nor an event file"):
        run.read(tmp_path / "notes.md")


def test_of_several_runs_one_must_be_named(tmp_path, trained):
    for name in ("a", "b"):
        shutil.copytree(trained, tmp_path / name)
    with pytest.raises(UserError, match="holds 2 runs; give the folders of those you want, such as a, b"):
        run.read(tmp_path)
    shutil.rmtree(tmp_path / "b")
    assert run.read(tmp_path).path == tmp_path / "a"


def test_folders_that_log_the_same_are_several_runs(tmp_path):
    for name in ("PPO_1", "PPO_2"):
        log(tmp_path / name, ["rollout/ep_rew_mean"])
    with pytest.raises(UserError, match=r"holds 2 runs; .* such as PPO_1, PPO_2"):
        run.read(tmp_path)
    assert run.read(tmp_path / "PPO_2").series["train_episode_rewards"].values.tolist() == [1, 2, 3, 4, 5]


def test_folders_that_log_different_things_are_one_run(tmp_path):
    for name, tag in (("losses", "critic/value_loss"), ("rewards", "train_episode_rewards")):
        log(tmp_path / name, [tag])
    assert set(run.read(tmp_path).series) >= {"critic/value_loss", "train_episode_rewards"}


def test_empty_event_files_are_called_so(tmp_path):
    (tmp_path / "events.out.tfevents.1").touch()
    with pytest.raises(UserError, match="could be read: it has only empty event files"):
        run.read(tmp_path)
    log(tmp_path, steps=())
    with pytest.raises(UserError, match="could be read: its event files hold no numbers"):
        run.read(tmp_path)


def test_a_run_with_checkpoints_alone_has_their_steps(tmp_path):
    (tmp_path / "config.json").write_text('{"learner": {}, "training": {"total_steps": 480}}')
    for steps in (160, 480):
        (tmp_path / "models" / f"rl_model_{steps}_steps").mkdir(parents=True)
    found = run.read(tmp_path)
    assert (found.steps, found.problems) == (480, ["it holds no logged numbers"])


def test_a_damaged_configuration_does_not_hide_the_logs(tmp_path, trained):
    copy = tmp_path / "run"
    shutil.copytree(trained, copy)
    (copy / "config.json").write_text('{"learner": ')
    found = run.read(copy)
    assert found.library == "mapush" and found.config == {}
    assert "config.json cannot be read" in found.problems[0] and "critic/value_loss" in found.series


def test_harl_runs_are_read_with_their_own_configuration(tmp_path):
    for tag in ("agent0/policy_loss", "critic/value_loss", "critic/average_step_rewards"):
        log(tmp_path / "logs" / tag / tag, [tag])
    log(tmp_path / "logs" / "train_episode_rewards" / "aver_rewards", ["train_episode_rewards"])
    arguments = {"seed": {"seed": 7}, "train": {"num_env_steps": 1000}}
    main = {"algo": "happo", "env": "mapush", "exp_name": "safe"}
    (tmp_path / "config.json").write_text(
        json.dumps({"main_args": main, "algo_args": arguments, "env_args": {"task": "go1push_mid"}})
    )
    (tmp_path / "progress.txt").write_text("10,-3.5\n30,-2.5\n40,")
    found = run.read(tmp_path)
    assert (found.library, found.algorithm, found.seed, found.total_steps) == ("harl", "happo", 7, 1000)
    assert found.task == "mapush-go1push_mid" and not found.unknown
    assert {"agent0/policy_loss", "average_step_reward", "train_episode_rewards"} <= set(found.series)
    assert found.series["eval_average_episode_rewards"].values.tolist() == [-3.5, -2.5]


def test_a_harl_run_without_its_configuration_is_none_of_openrl(tmp_path):
    for tag in ("agent0/policy_loss", "eval_average_episode_rewards"):
        log(tmp_path / "logs" / tag / tag, [tag])
    assert run.read(tmp_path).library == "harl"


def openrl_run(folder, updates=(0, 5)):
    """What MAPush leaves of a run of ten updates of 100 steps, the last of which is in the console log only."""
    folder.mkdir(parents=True, exist_ok=True)
    for tag in ("dist_entropy", "approach_to_box_reward"):
        log(folder / "logs" / tag / tag, [tag], steps=(100,))
    (folder / "log.txt").write_text("".join(CONSOLE.format(update, 4.0 + update) for update in updates))
    return folder


def test_openrl_runs_have_our_units_and_what_only_the_console_log_has(tmp_path):
    found = run.read(openrl_run(tmp_path / "cuboid"))
    assert (found.library, found.task, found.total_steps) == ("openrl", "go1push_mid-cuboid", 1000)
    assert found.series["agent0/dist_entropy"].steps.tolist() == [100, 600]
    assert found.series["agent0/dist_entropy"].values.tolist() == [4.0, 9.0]
    # MAPush sums these over the two robots, or counts them once for a pair.
    assert found.series["rewards/approach"].values[-1] == pytest.approx(-47.2)
    assert found.series["rewards/collision"].values[-1] == pytest.approx(-109.0)
    assert list(found.unknown) == ["average_step_reward"]


@pytest.mark.parametrize("cut, entropies", [(0, [4.0, 9.0]), (1, [4.0, 9.0]), (2, [4.0]), (4, [4.0])])
def test_the_last_number_of_a_killed_run_may_lack_digits(tmp_path, cut, entropies):
    folder = openrl_run(tmp_path / "cuboid")
    text = (folder / "log.txt").read_text()
    (folder / "log.txt").write_text(text[: len(text) - cut])
    for file in folder.glob("logs/*/*/*"):
        file.write_bytes(file.read_bytes() + b"\x30\0\0")
    (folder / ".lock").touch()  # nobody holds it
    found = run.read(folder)
    assert found.series["agent0/dist_entropy"].values.tolist() == entropies
    (events,) = (problem for problem in found.problems if "event files" in problem)
    assert events.startswith("2 event files end in a half-written record: the run was killed")
    assert ("log.txt ends in a half-written line, which is left out" in found.problems) == (cut > 1)


def test_a_half_written_line_of_progress_is_no_value(tmp_path):
    log(tmp_path / "logs", ["critic/value_loss"])
    (tmp_path / "config.json").write_text('{"learner": {}}')
    (tmp_path / "progress.txt").write_text("10,1.25\n20,2.5\n30,3")
    (tmp_path / ".lock").touch()
    found = run.read(tmp_path)
    assert found.series["train_episode_rewards"].values.tolist() == [1.25, 2.5]
    assert found.problems == ["progress.txt ends in a half-written line, which is left out"]


def test_numbers_too_large_for_an_event_file_are_infinite(tmp_path):
    log(tmp_path / "logs", ["critic/value_loss"])
    (tmp_path / "config.json").write_text('{"learner": {}}')
    (tmp_path / "progress.txt").write_text("10,1e308\n20,-1e308\n30,2.5\n")
    found = run.read(tmp_path)
    assert found.series["train_episode_rewards"].values.tolist() == [math.inf, -math.inf, 2.5]
    folder = openrl_run(tmp_path / "cuboid")
    (folder / "log.txt").write_text(CONSOLE.format(0, 4.0) + CONSOLE.format(5, 1e308))
    assert run.read(folder).series["agent0/dist_entropy"].values.tolist() == [4.0, math.inf]


def published(rate):
    """What `test.py` prints of a checkpoint, as far as this."""
    return (
        f"Loaded checkpoint from:  module.pt\nsuccess rate: {rate}\nfinished time: 19.25\ncollision degree: 0.0\n"
        f"collaboration degree: 0.125\n{'-' * 53}\n"
    )


@pytest.mark.parametrize(
    "text, rates, words",
    [
        (published(0.25) + published(0.5), [0.25, 0.5], ""),
        ((published(0.25) + published(0.5)).rstrip("\n"), [0.25, 0.5], ""),
        ((published(0.25) + published(0.5)).rstrip("-\n"), [0.25, 0.5], "ends in 'collaboration degree: 0.125'"),
        (
            published(0.25) + published(0.5).partition("\nfin")[0],
            [0.25],
            "ends in 'success rate: 0.5', which may lack digits",
        ),
        ("Loaded checkpoint from: a\nsuccess rate: 0.2\nLoaded checkpoint from: b\nsuccess rate: 0.5", [0.2, 0.5], ""),
    ],
)
def test_a_published_figure_without_an_end_is_left_out_unless_all_are_so(tmp_path, text, rates, words):
    folder = openrl_run(tmp_path / "cuboid")
    (folder / "success_rate.txt").write_text(text)
    found = run.read(folder)
    assert [one.success_rate for one in found.evaluations] == rates
    assert [one.steps for one in found.evaluations] == [500, 1000][: len(rates)]
    said = [problem for problem in found.problems if "which may lack digits" in problem]
    assert len(said) == bool(words) and words in "".join(said)


def test_published_success_rates_are_evaluations(tmp_path):
    folder = openrl_run(tmp_path / "cuboid")
    text = "".join(
        f"Loaded checkpoint from:  x/rl_model_{steps}_steps/module.pt\nsuccess rate: {rate}\nfinished time: 19.0\n"
        for steps, rate in ((200, 0.25), (100, 0.5))
    )
    (folder / "success_rate.txt").write_text(text)
    assert [(one.steps, one.success_rate) for one in run.read(folder).evaluations] == [(100, 0.5), (200, 0.25)]
    (folder / "success_rate.txt").write_text(text.replace("0.25", "1e308"))
    found = run.read(folder)
    assert [one.steps for one in found.evaluations] == [100]
    assert "success_rate.txt has 1 success rates that are not between 0 and 1" in found.problems
    (folder / "success_rate.txt").write_text(text.replace("rl_model_200_steps/", "").replace("x/rl_model", "module"))
    found = run.read(folder)
    assert [one.steps for one in found.evaluations] == [500, 1000]
    assert "2 evenly spaced ones up to 1,000 are assumed" in found.problems[-1]
