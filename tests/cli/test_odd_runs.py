"""Runs whose files hold what nobody would write: every command that reads them says so, and shows the rest."""

import json
import warnings

import pytest

from mapush_stack.analysis import listing
from mapush_stack.analysis.layouts.search import log_sizes
from mapush_stack.cli.main import main
from mapush_stack.training.run_directory import RunDirectory
from tests.cli import fabricate

pytest.importorskip("scipy", reason="the extra report is not installed")
DEEP = "[" * 100_000 + "]" * 100_000
HARL = {"main_args": {"algo": "happo"}, "algo_args": {"train": {"num_env_steps": 480}, "seed": {"seed": 1}}}


@pytest.fixture
def run(tmp_path):
    made = fabricate.make(tmp_path / "results", checkpoints=[(160, 0.5)], logged=[160, 240])
    fabricate.make(tmp_path / "results" / "beside", checkpoints=[(160, 0.5)], logged=[160])
    return made.path


def ask(capsys, *arguments):
    """(exit code, words) of a command, which must not warn."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        code = main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    assert code in (0, 2), captured.err
    return code, " ".join((captured.out + captured.err).split())


def strict(text):
    """JSON as its standard has it: without NaN."""
    return json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))


def ours(**changes):
    """A change of fields of config.json."""
    return lambda run: fabricate.with_config(run, **changes)


def harl(steps, seed=1):
    """Make it a run of HARL's own program."""

    def change(run):
        plain = {**HARL, "algo_args": {"train": {"num_env_steps": steps}, "seed": {"seed": seed}}}
        (run / "config.json").write_text(json.dumps(plain))

    return change


def config(text):
    return lambda run: (run / "config.json").write_text(text)


def link_to_nothing(run):
    (run / "logs" / "events.out.tfevents.gone").symlink_to("/nonexistent/file")
    (run / "manifest.json").unlink()  # which would say when the run started


def evaluations(**changes):
    row = {"steps": 160, "success_rate": 0.5, "episodes": 9, "success_interval": [0, 1], "valid_success_rate": None}
    row = {**row, "finished_time": None, "collaboration_degree": None, "causes": {}, **changes}
    return lambda run: (run / "evaluations.json").write_text(json.dumps([row]))


ODD = [
    (link_to_nothing, "events.out.tfevents.gone does not exist"),
    (harl("many"), 'algo_args.train.num_env_steps="many", which is not a whole number of at least 1'),
    (harl(480, seed=[7]), "algo_args.seed.seed=[7], which is not a whole number"),
    (ours(training__stages=5), "training.stages=5, which is not a list of stages"),
    (ours(training__stages=["a"]), 'training.stages=["a"], which is not a list of stages with their steps'),
    (ours(training__seed=[1]), "training.seed=[1], which is not a whole number"),
    (ours(training__seed=float("nan"), training__total_steps=float("inf")), "training.total_steps=Infinity, which"),
    (ours(training__total_steps=0), "training.total_steps=0, which is not a whole number of at least 1"),
    (ours(learner__algorithm=[1], experiment={}), "learner.algorithm=[1], which is not a name"),
    (ours(object__task__num_robots="two"), 'object.task.num_robots="two", which is not a whole number of at least 1'),
    (config(DEEP), "config.json cannot be read"),
    (
        config('{"learner": ' + "[" * 200 + "]" * 200 + "}"),
        "config.json cannot be read as JSON: it is nested more than 100",
    ),
    (evaluations(valid_success_rate="many"), "evaluations.json cannot be read as evaluations"),
    (evaluations(success_rate=float("nan")), "evaluations.json has 1 success rates that are not between 0 and 1"),
    (evaluations(success_rate=1e308), "evaluations.json has 1 success rates that are not between 0 and 1"),
]


@pytest.mark.parametrize("change, words", ODD)
def test_it_is_said_and_the_rest_is_shown(run, capsys, change, words):
    change(run)
    for command in (["compare", run], ["watch", "--once", run]):
        code, said = ask(capsys, *command)
        assert (code, words in said) == (0, True), said
    code, said = ask(capsys, "runs", run.parents[4])
    assert code == 0 and "2 runs in" in said and "beside" in said
    ask(capsys, "reproduce", "--dry-run", run)


def test_a_link_to_nothing_is_no_log(run):
    before = log_sizes(run)
    link_to_nothing(run)
    assert log_sizes(run) == before
    assert listing.describe(run).state.name == "killed"
    fabricate.save(RunDirectory(run), 480)
    assert listing.describe(run).state.name == "finished"


@pytest.mark.parametrize("change", [change for change, _ in ODD])
def test_json_is_what_other_programs_can_read(run, capsys, change):
    change(run)
    for command in (["compare", run, "--json"], ["runs", run.parents[4], "--json"]):
        assert main([str(word) for word in command]) == 0
        strict(capsys.readouterr().out)


@pytest.mark.parametrize("steps", ["480", 480.0])
def test_steps_in_another_spelling_are_steps(run, capsys, steps):
    harl(steps)(run)
    _, said = ask(capsys, "watch", "--once", run)
    assert "240 / 480 steps (50.0%)" in said and "problem" not in said


@pytest.mark.parametrize("changes", [{"commit": 5}, {"source": None, "commit": 5}, {"sessions": [{"processes": "x"}]}])
def test_an_odd_manifest_is_compared_as_it_is(run, capsys, changes):
    plain = json.loads((run / "manifest.json").read_text())
    (run / "manifest.json").write_text(json.dumps({**plain, **changes}))
    code, said = ask(capsys, "reproduce", "--dry-run", run)
    assert code == 0 and "the run as one command" in said


def test_half_a_character_is_written_as_a_question_mark(run, tmp_path, capsys):
    pytest.importorskip("matplotlib", reason="the extra report is not installed")
    pytest.importorskip("jinja2", reason="the extra report is not installed")
    ours(experiment="a\ud800b")(run)
    wanted = ["--out", tmp_path / "out", "--html", tmp_path / "report.html", "--episodes", 0]
    assert main([str(word) for word in ["compare", run, *wanted]]) == 0
    assert "a?b" in capsys.readouterr().out
    for name in ("out/comparison.md", "report.html"):
        assert "a?b" in (tmp_path / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("logged, value", [([-480, -240, -10], 0.5), ([160, 240], float("nan"))])
def test_numbers_that_cannot_be_are_no_warning(run, capsys, logged, value):
    for file in (run / "logs").iterdir():
        file.unlink()
    fabricate.log(RunDirectory(run), logged, **{"mapush/success_rate": value, "critic/value_loss": value})
    code, said = ask(capsys, "compare", run)
    assert code == 0 and "success" in said
