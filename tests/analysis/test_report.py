"""The report as a file: complete, self-contained, escaped, small, and quickly made. tests/browser looks at it."""

import re
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mapush_stack.analysis.diagnosis import rules
from mapush_stack.analysis.report import make, page
from mapush_stack.analysis.report.decimate import MOST_POINTS, decimate
from mapush_stack.analysis.run import Series, read
from mapush_stack.errors import UserError
from tests.analysis import runs
from tests.cli.runner import ROOT, environment, mapush, train_small

pytest.importorskip("jinja2", reason="the extra report is not installed")
pytest.importorskip("scipy", reason="the extra report is not installed")
HOSTILE = "<img src=x onerror=alert(1)></script>{{ 7 * 7 }}"


def own_part(html):
    """The page without plotly's program."""
    scripts = re.findall(r"<script[^>]*>.*?</script>", html, re.S)
    return html.replace(max(scripts, key=len), "")


@pytest.fixture(scope="module")
def html(tmp_path_factory):
    """The report of three recorded runs, none of which can be played."""
    folder = tmp_path_factory.mktemp("report")
    found = [read(runs.recorded(name, folder)) for name in ("happo-cuboid", "openrl-cuboid")]
    found.append(read(runs.write_run(folder / "ill", *runs.diseased("entropy-rising"))))
    make(folder / "report.html", found, ["a note"], episodes=10)
    return (folder / "report.html").read_text(encoding="utf-8")


def test_it_needs_nothing_outside_of_itself(html):
    mine = own_part(html)
    assert not re.search(r"(?:src|href|action)\s*=\s*[\"'](?!data:)", mine)
    assert "@import" not in mine and "url(" not in mine and "//" not in re.sub(r"\s// .*", "", mine)
    assert "default-src 'none'" in mine


def test_it_says_what_the_comparison_and_the_diagnosis_say(html):
    mine = own_part(html)
    assert "The policy&#39;s entropy rises" in mine and "learner.actor_lr=0.0006" in mine and "a note" in mine
    for words in ("It learns smoothly", "it has no checkpoint", "do not name the command", "First step at"):
        assert words in mine, words
    for plot in ("success", "entropy", "value-loss", "actor-gradient", "fps", "endings-0", "terms-0", "terms-2"):
        assert f'id="plot-{plot}"' in mine
    assert mine.count("nothing found") == 2 and mine.count("1 severe") == 1


def test_names_and_numbers_of_a_log_cannot_become_program(tmp_path):
    config, series = runs.healthy(points=40)
    steps = series["perf/fps"][0]
    series[f"rewards/{HOSTILE}"] = (steps, np.where(steps > 4e6, np.nan, 0.001))
    config["experiment"] = HOSTILE
    run = runs.write_run(tmp_path / "run", config, series)
    make(tmp_path / "report.html", [read(run)], [HOSTILE], episodes=0)
    mine = own_part((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert "<img" not in mine and "{{ 7" in mine
    assert "NaN" not in re.search(r'id="data">(.*?)</script>', mine, re.S).group(1)
    assert mine.count("</script>") == 2


def test_what_was_recorded_is_put_in_and_what_is_too_large_is_named(tmp_path, monkeypatch):
    run = runs.write_run(tmp_path / "run", *runs.healthy(points=30))
    (run / "demo.gif").write_bytes(b"GIF89a")
    (run / "still-1.png").write_bytes(b"\x89PNG")
    (run / "film.mp4").write_bytes(bytes(1000))
    monkeypatch.setattr(page, "_MOST_BYTES", 500)
    make(tmp_path / "report.html", [read(run)], [], episodes=0)
    mine = own_part((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert "data:image/gif;base64,R0lGODlh" in mine and 'alt="still-1.png"' in mine
    assert "Too large for this file: film.mp4" in mine


def test_a_run_is_played_and_can_be_made_again(tmp_path, mujoco):
    _, run = train_small(tmp_path, "--no-evaluation")
    out, _ = mapush("compare", run, "--html", tmp_path / "report.html", "--episodes", 3)
    assert f"written: {tmp_path / 'report.html'}" in out
    mine = own_part((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert "3 first episodes of the checkpoint at 480 steps" in mine
    assert mine.count("<svg") == 3 and mine.count('class="robot"') == 6
    assert "<code>mapush train --results" in mine
    assert '"checkpoints":[{' in mine and '"x":[160,320,480]' in mine  # each was evaluated


def test_what_cannot_be_written_is_refused_before_anything_runs(tmp_path):
    run = runs.write_run(tmp_path / "run", *runs.healthy(points=30))
    _, err = mapush("compare", run, "--html", tmp_path / "nowhere" / "report.html", code=2)
    assert "give a file in a folder that exists" in err and len(err.splitlines()) == 1
    (tmp_path / "report.html").mkdir()
    with pytest.raises(UserError, match="give a file"):
        page.check(tmp_path / "report.html")


def test_a_missing_library_is_told(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(UserError, match=r"needs jinja2: pip install 'mapush_stack\[report\]'"):
        page.check(tmp_path / "report.html")


def test_a_long_series_keeps_its_smallest_and_largest_values():
    values = np.zeros(10_001)
    values[5000], values[7000], values[20:80] = 9.0, -7.0, np.nan
    points = decimate(Series(np.arange(10_001), np.arange(10_001) * 1.0, values))
    assert len(points.steps) == MOST_POINTS and points.steps[-1] == 10_000
    assert np.nanmax(points.high) == 9.0 and np.nanmin(points.low) == -7.0
    assert np.isnan(points.values[1]) and np.isfinite(points.values).sum() > 0.99 * MOST_POINTS
    short = Series(np.arange(5), np.arange(5) * 1.0, np.arange(5.0))
    assert decimate(short).values.tolist() == short.values.tolist() and decimate(short).low is None


@pytest.mark.slow
def test_a_run_of_a_hundred_million_steps_is_reported_quickly(tmp_path):
    """10,000 points of 30 tags: less than 10 s of processor time and 1 GB."""
    config, series = runs.healthy(100_000_000, 10_000)
    steps = series["perf/fps"][0]
    series.update({f"rewards/term{index}": (steps, np.sin(steps / 1e6 + index)) for index in range(30 - len(series))})
    run = runs.write_run(tmp_path / "run", config, series)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "mapush_stack", "compare", str(run), "--html", str(tmp_path / "report.html")]
    subprocess.run(command, check=True, env=environment(), stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 10
    assert after.ru_maxrss < 1_000_000  # KiB, of the largest process so far
    assert (tmp_path / "report.html").stat().st_size < 2_000_000


def test_the_documentation_lists_the_rules_as_they_are():
    text = (Path(ROOT) / "docs" / "report.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `([a-z-]+)` \| (.*) \|$", text, re.M))
    known = rules.load()
    assert list(rows) == [rule.name for rule in known.rules]
    for rule in known.rules:
        limits = ", ".join(f"{name} {value:,g}" for name, value in rule.thresholds.items())
        assert rows[rule.name] == f"{rule.severity.value} | {rule.title} | {limits}"
