"""Files of evaluated checkpoints: of every schema so far, and of a newer one."""

import json

import pytest

from mapush_stack.analysis import evaluations

ROW = {
    "steps": 160,
    "object": "cuboid",
    "episodes": 100,
    "success_rate": 0.5,
    "success_interval": [0.4, 0.6],
    "valid_success_rate": 0.6,
    "finished_time": 12.5,
    "collision_degree": 0.0,
    "collaboration_degree": 0.75,
    "causes": {"finished": 50, "time_limit": 50},
}
"""What `mapush evaluate --json` says of a checkpoint, beside its path."""


@pytest.fixture
def run(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    return tmp_path


def record(run, **changes):
    row = {**ROW, **changes}
    evaluations.record([{**row, "path": str(run / "models" / f"rl_model_{row['steps']}_steps")}])


def file_of(run):
    return run / evaluations.FILE


@pytest.mark.parametrize("content", [[ROW], {"schema": 2, "rows": [ROW]}])
def test_every_schema_is_read(run, content):
    file_of(run).write_text(json.dumps(content))
    (found,), problems = evaluations.read(run, None)
    assert not problems
    assert found.model_dump() == {
        "steps": 160,
        "success_rate": 0.5,
        "episodes": 100,
        "success_interval": (0.4, 0.6),
        "valid_success_rate": 0.6,
        "finished_time": 12.5,
        "collaboration_degree": 0.75,
        "causes": {"finished": 50, "time_limit": 50},
    }


def test_an_old_list_is_kept_and_gets_a_schema(run):
    file_of(run).write_text(json.dumps([ROW]))
    record(run, steps=320, success_rate=0.9)
    assert json.loads(file_of(run).read_text()) == {
        "schema": 2,
        "rows": [ROW, {**ROW, "steps": 320, "success_rate": 0.9}],
    }


def test_a_row_over_fewer_episodes_replaces_none(run):
    record(run)
    record(run, episodes=10, success_rate=1.0)
    assert [one.success_rate for one in evaluations.read(run, None)[0]] == [0.5]
    record(run, success_rate=0.6)
    assert [one.success_rate for one in evaluations.read(run, None)[0]] == [0.6]


def test_rows_of_incomplete_teams_are_kept_apart(run):
    record(run, absent=[1], success_rate=0.1)
    record(run)
    record(run, frozen=[0, 1], success_rate=0.2)
    record(run, absent=[1], success_rate=0.0, episodes=5)
    record(run, absent=[1], success_rate=0.3)
    stored = json.loads(file_of(run).read_text())
    assert stored["schema"] == 2 and stored["rows"] == [ROW]
    others = [{**ROW, "frozen": [0, 1], "success_rate": 0.2}, {**ROW, "absent": [1], "success_rate": 0.3}]
    assert stored["incomplete_teams"] == others
    assert [one.success_rate for one in evaluations.read(run, None)[0]] == [0.5]


@pytest.mark.parametrize("damaged", [7, [7], [{"steps": 160}], [{**ROW, "absent": 5}], [{**ROW, "frozen": ["x"]}]])
def test_damaged_rows_of_incomplete_teams_are_replaced(run, damaged):
    file_of(run).write_text(json.dumps({"schema": 2, "rows": [ROW], "incomplete_teams": damaged}))
    assert len(evaluations.read(run, None)[0]) == 1
    record(run, absent=[0])
    stored = json.loads(file_of(run).read_text())
    assert stored["rows"] == [ROW] and stored["incomplete_teams"] == [{**ROW, "absent": [0]}]


def test_a_newer_schema_is_one_sentence_and_is_not_overwritten(run):
    newer = json.dumps({"schema": 3, "rows": {}})
    file_of(run).write_text(newer)
    found, (problem,) = evaluations.read(run, None)
    assert not found and "a newer version (schema 3)" in problem and "upgrade with" in problem
    record(run)
    assert file_of(run).read_text() == newer


@pytest.mark.parametrize("damaged", ["", "{", "[1]", '{"schema": 2}', '[{"steps": 160}]'])
def test_a_damaged_file_is_told_and_replaced(run, damaged):
    file_of(run).write_text(damaged)
    found, (problem,) = evaluations.read(run, None)
    assert not found and problem.startswith("evaluations.json cannot be read as evaluations: ")
    record(run)
    assert len(evaluations.read(run, None)[0]) == 1
