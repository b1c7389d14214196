import pytest

from tests.cli.runner import mapush, train_small

ODD = ["0", "abc", "-5", "9" * 5000]


@pytest.fixture(scope="module")
def run(mujoco, tmp_path_factory):
    return train_small(tmp_path_factory.mktemp("results"), "--no-evaluation")[1]


def words(text):
    """A text without anything that depends on the width."""
    return "".join(text.split())


def cells(table):
    """The letters of a table in no order."""
    return sorted(letter for letter in table if letter.isalnum())


@pytest.mark.parametrize("columns", [40, 1])
def test_a_narrow_table_of_runs_loses_nothing(run, columns):
    out, _ = mapush("runs", run.parent, COLUMNS=str(columns))
    assert max(map(len, out.splitlines())) <= columns
    assert f"run{run.name}statefinishedsteps480/480" in words(out)


@pytest.mark.parametrize("columns", [18])
def test_a_narrow_table_folds_its_words(columns):
    wide, _ = mapush("presets", COLUMNS="300")
    out, _ = mapush("presets", COLUMNS=str(columns))
    assert max(map(len, out.splitlines())) <= columns
    assert cells(out) == cells(wide)


@pytest.mark.parametrize("columns", ODD)
def test_a_width_that_is_none_changes_nothing(run, columns):
    usual, _ = mapush("presets")
    assert max(map(len, usual.splitlines())) > 80  # whole lines for grep
    assert mapush("presets", COLUMNS=columns)[0] == usual


@pytest.mark.parametrize(
    "verb, columns",
    [("compare", "40"), ("diagnose", "1"), ("watch", "1"), ("evaluate", "40"), ("doctor", "1"), ("patches list", "40")],
)
def test_every_table_fits(run, verb, columns):
    where = [] if verb in ("doctor", "patches list") else [run]
    code = {"doctor": (0, 1), "diagnose": (0, 1)}.get(verb, (0,))
    out = mapush(*verb.split(), *where, code=code, COLUMNS=columns)[0]
    assert out
    lines = [line for line in out.splitlines() if "/" not in line]  # paths are for copying, in one piece
    assert max(map(len, lines)) <= int(columns)
