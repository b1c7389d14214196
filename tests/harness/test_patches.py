"""Patches of a made-up distribution: what is written, what is refused, and what a kill leaves."""

import contextlib
import json
import os
import random
import signal
import time

import pytest
from filelock import FileLock

from mapush_stack.cli.main import main
from mapush_stack.errors import UserError
from mapush_stack.harness.patches import change, manifest, state
from mapush_stack.harness.patches.state import State
from tests.harness.synthetic import (
    NEW,
    OLD,
    contents,
    make_patches,
    make_site,
    read_manifest,
    run,
    snapshot,
    start,
    write_manifest,
)


@pytest.fixture
def site(tmp_path):
    return make_site(tmp_path / "site-packages")


@pytest.fixture
def patches(tmp_path, monkeypatch):
    """The made-up patches, for this process and, by its value, for others."""
    folder = make_patches(tmp_path / "patches")
    monkeypatch.setattr(manifest, "FOLDER", folder)
    return folder


def states(site):
    return {finding.patch.name: finding.state for finding in state.survey(manifest.load(), site)}


def one_line(err):
    assert err.startswith("mapush: ") and err.count("\n") == 1, err
    return err


def test_apply_verify_and_revert_in_the_running_pythons_packages(patches, site):
    (site / "openrl/a.py").chmod(0o640)
    before = snapshot(site)
    run(patches, "verify", path=[site], code=1)
    out, _ = run(patches, "apply", path=[site])
    assert out.splitlines()[0] == f"one: applied (openrl 0.2.0 in {site})"
    assert contents(site) == NEW and (site / "openrl/a.py").stat().st_mode & 0o777 == 0o640
    assert "one: applied" in run(patches, "verify", path=[site])[0]
    patched = snapshot(site)
    assert "one: was applied already" in run(patches, "apply", path=[site])[0]
    assert snapshot(site) == patched
    run(patches, "revert", path=[site])
    after = snapshot(site)
    assert after.pop(change.LOCK)[0] == b""
    assert {path: entry[:2] for path, entry in after.items()} == {path: entry[:2] for path, entry in before.items()}
    assert "one: was not applied" in run(patches, "revert", path=[site])[0]


def test_one_patch_of_a_source_tree(patches, site):
    run(patches, "apply", "two", "--target", site)
    assert contents(site) == {**OLD, "openrl/deep/c.py": NEW["openrl/deep/c.py"]}
    rows = json.loads(run(patches, "list", "--target", site, "--json")[0])
    assert [(row["name"], row["state"]) for row in rows] == [("one", "not applied"), ("two", "applied")]
    assert rows[0]["directory"] == str(site) and rows[0]["files"][0]["state"] == "not applied"
    rows = json.loads(run(patches, "verify", "two", "--target", site, "--json")[0])
    assert [row["state"] for row in rows] == ["applied"]


def test_an_editable_installation_is_followed_to_its_sources(patches, site, tmp_path):
    record = tmp_path / "elsewhere" / "openrl-0.2.0.dist-info"
    record.parent.mkdir()
    (site / record.name).rename(record)
    (record / "direct_url.json").write_text(json.dumps({"url": site.as_uri(), "dir_info": {"editable": True}}))
    run(patches, "apply", path=[record.parent])
    assert contents(site) == NEW


def test_hard_links_to_a_package_cache_keep_their_bytes(patches, site, tmp_path):
    cached = tmp_path / "cached.py"
    os.link(str(site / "openrl/a.py"), str(cached))
    change.change([], State.APPLIED, site)
    assert contents(site) == NEW and cached.read_text() == OLD["openrl/a.py"]


def _edit(site):
    (site / "openrl/b.py").write_text("edited by hand\n")


def _truncate(site):
    (site / "openrl/a.py").write_text(NEW["openrl/a.py"][:20])


def _patch_twice(site):
    (site / "openrl/a.py").write_text("import os\n" + NEW["openrl/a.py"])


def _remove(site):
    (site / "openrl/b.py").unlink()


def _upgrade(site):
    (site / "openrl-0.2.0.dist-info").rename(site / "openrl-0.2.1.dist-info")
    metadata = site / "openrl-0.2.1.dist-info" / "METADATA"
    metadata.write_text(metadata.read_text().replace("0.2.0", "0.2.1"))


@pytest.mark.parametrize(
    "damage, sentence",
    [
        (_edit, "b.py has been edited or is of another version"),
        (_truncate, "a.py has been edited or is of another version"),
        (_patch_twice, "a.py has been edited or is of another version"),
        (_remove, "b.py is missing"),
        (_upgrade, "openrl under {site} is 0.2.1, and one is for 0.2.0; install openrl==0.2.0"),
    ],
)
def test_what_is_not_known_is_refused_and_nothing_changes(patches, site, capsys, damage, sentence):
    damage(site)
    before = snapshot(site)
    _, err = run(patches, "apply", "--target", site, code=2)
    assert sentence.format(site=site) in one_line(err) and snapshot(site) == before
    for verb in ("revert", "verify"):
        assert main(["patches", verb, "--target", str(site)]) == 2
        assert sentence.format(site=site) in one_line(capsys.readouterr().err) and snapshot(site) == before
    assert main(["patches", "list", "--target", str(site), "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert rows[0]["state"] == "unknown" and rows[0]["problem"]


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        (["apply", "three"], "there is no patch called three; it can be one, two"),
        (["apply", "--target", "{tmp}/nowhere"], "nowhere is not a folder"),
        (["apply", "one", "--target", "{tmp}"], "does not hold openrl/ of openrl 0.2.0"),
        (["verify", "--target", "{tmp}"], "no openrl is in {tmp}; give the folder"),
        (["list", "--target", "{tmp}/patches/manifest.yaml"], "is not a folder"),
    ],
)
def test_what_is_not_there_is_refused(patches, tmp_path, capsys, arguments, sentence):
    assert main(["patches", *(argument.format(tmp=tmp_path) for argument in arguments)]) == 2
    assert sentence.format(tmp=tmp_path) in one_line(capsys.readouterr().err)


KILL_AT = """
import os, signal
from pathlib import Path
count = 0
def kill_in(owner, name, at):
    real = getattr(owner, name)
    def counted(*arguments):
        global count
        count += 1
        if count == at:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*arguments)
    setattr(owner, name, counted)
kill_in({owner}, {name!r}, {at})
"""
# Of three files: each is flushed before the first is renamed, and then the two folders are.
KILLS = [("os", "fsync", at) for at in (1, 3)] + [("Path", "replace", at) for at in (1, 2, 3)] + [("os", "fsync", 4)]


@pytest.mark.parametrize("owner, name, at", KILLS)
@pytest.mark.parametrize("verb", ["apply", pytest.param("revert", marks=pytest.mark.slow)])
def test_a_kill_leaves_what_the_next_command_sees_and_completes(patches, site, capsys, verb, owner, name, at):
    if verb == "revert":
        change.change([], State.APPLIED, site)
    start_text, end_text = (OLD, NEW) if verb == "apply" else (NEW, OLD)
    killed = KILL_AT.format(owner=owner, name=name, at=at)
    run(patches, verb, "--target", site, before=killed, code=-signal.SIGKILL)
    renamed = {"replace": at - 1, "fsync": 3 if at == 4 else 0}[name]
    assert contents(site) == {**start_text, **dict(list(end_text.items())[:renamed])}
    half = renamed == 1
    assert (states(site)["one"] is State.HALF_APPLIED) == half
    if half:
        before = snapshot(site)
        assert main(["patches", "verify", "--target", str(site)]) == 2
        told = one_line(capsys.readouterr().err)
        assert "one is half applied" in told and f"`mapush patches revert one --target {site}`" in told
        with pytest.raises(UserError, match="one is half applied"):
            change.change(["two"], State.APPLIED, site)
        assert snapshot(site) == before
    change.change([], State.NOT_APPLIED if at % 2 else State.APPLIED, site)
    assert contents(site) == (OLD if at % 2 else NEW)
    leftovers = [path for path in site.rglob(".mapush*") if path.name != change.LOCK]
    assert not leftovers


LOOP = """
from mapush_stack.harness.patches.change import change
from mapush_stack.harness.patches.state import State
print("ready", flush=True)
while True:
    change([], State.APPLIED, Path(sys.argv[4]))
    change([], State.NOT_APPLIED, Path(sys.argv[4]))
"""


def test_kills_at_any_time_leave_whole_files(patches, site):
    generator = random.Random(0)
    for _ in range(6):
        process = start(patches, "list", "--target", site, before=LOOP)
        process.stdout.readline()
        time.sleep(generator.uniform(0.0, 0.05))
        process.kill()
        process.communicate()
        assert State.UNKNOWN not in states(site).values()
        change.change([], State.APPLIED, site)
        assert contents(site) == NEW


@pytest.mark.parametrize("error", [OSError(30, "Read-only file system"), KeyboardInterrupt()])
def test_an_error_in_the_middle_puts_everything_back(patches, site, monkeypatch, error):
    real, names = change.Path.replace, []

    def replace(path, target):
        names.append(target)
        if len(names) == 2:
            raise error
        return real(path, target)

    before = snapshot(site)
    monkeypatch.setattr(type(site), "replace", replace)
    with pytest.raises(UserError if isinstance(error, OSError) else KeyboardInterrupt):
        change.change([], State.APPLIED, site)
    assert len(names) > 2 and contents(site) == OLD
    assert set(snapshot(site)) - set(before) == {change.LOCK}


def test_a_file_that_can_neither_be_kept_nor_put_back_is_named(patches, site, monkeypatch):
    real, names = change.Path.replace, []

    def replace(path, target):
        names.append(target)
        if len(names) > 1:
            raise OSError(5, "Input/output error")
        return real(path, target)

    monkeypatch.setattr(type(site), "replace", replace)
    with pytest.raises(UserError, match=r"a\.py could neither be kept nor put back: Input/output error"):
        change.change([], State.APPLIED, site)


def test_only_one_process_at_a_time(patches, site):
    before = contents(site)
    with FileLock(str(site / change.LOCK)):
        _, err = run(patches, "apply", "--target", site, code=2)
    assert f"another process is patching {site}" in one_line(err) and contents(site) == before
    crowd = [start(patches, "apply", "--target", site) for _ in range(4)]
    errors = [process.communicate(timeout=60)[1] for process in crowd]
    assert {process.returncode for process in crowd} <= {0, 2} and 0 in {process.returncode for process in crowd}
    assert all("another process is patching" in err for err in errors if err)
    assert contents(site) == NEW


def test_an_edit_just_before_the_lock_is_seen(patches, site, monkeypatch):
    real = change._locked

    @contextlib.contextmanager
    def late(directory):
        with real(directory):
            _edit(site)
            yield

    monkeypatch.setattr(change, "_locked", late)
    with pytest.raises(UserError, match=r"b\.py has been edited"):
        change.change([], State.APPLIED, site)
    assert (site / "openrl/a.py").read_text() == OLD["openrl/a.py"]


@pytest.mark.parametrize(
    "damage",
    [
        lambda entry: entry.update(color="red"),
        lambda entry: entry.update(version=2),
        lambda entry: entry.update(commit="0" * 40),
        lambda entry: entry.pop("version"),
        lambda entry: entry.update(name="two"),
        lambda entry: entry.update(files=[]),
        lambda entry: entry["files"][0].update(before="abc"),
        lambda entry: entry["files"][0].update(path="../openrl/a.py"),
        lambda entry: entry["files"][0].update(path="openrl/deep/c.py"),
        lambda entry: entry.update(diff="none.diff"),
        lambda entry: entry.update(diff="two.diff"),
        lambda entry: entry["files"][0].update(after="0" * 64),
    ],
)
def test_a_damaged_manifest_or_diff_is_refused(patches, site, damage):
    entries = read_manifest(patches)
    damage(entries[0])
    write_manifest(patches, entries)
    before = snapshot(site)
    with pytest.raises(UserError, match="install mapush_stack again"):
        change.change([], State.APPLIED, site)
    after = snapshot(site)
    after.pop(change.LOCK, None)
    assert after == before


@pytest.mark.parametrize("text", ["", "patches: [", "patches: 3", "\x00"])
def test_a_manifest_that_is_none_is_refused(patches, text):
    (patches / "manifest.yaml").write_text(text)
    with pytest.raises(UserError, match="does not hold a manifest of patches"):
        manifest.load()
