"""The report in a real browser: it draws, says nothing on the console, and asks for nothing outside of itself.

`nox -s browser` runs this; the screenshots of docs/report.md are written here.
"""

import json
from pathlib import Path

import pytest

from tests.analysis import foreign, runs
from tests.browser.chromium import IMAGES, NO_BROWSER, keep
from tests.cli.runner import ROOT, mapush, the_run

HOSTILE = "<img src=x onerror=document.title='taken'></script><script>document.title='taken'</script>"

pytestmark = [
    pytest.mark.skipif(bool(NO_BROWSER), reason=NO_BROWSER),
    pytest.mark.timeout(900),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("report")


@pytest.fixture(scope="module")
def report(folder):
    """The report of a run trained here, of a recorded one of OpenRL, and of an ill one."""
    fields = ["training.checkpoint_interval=250000", "training.torch_threads=1", "sim.threads=1", "experiment=healthy"]
    mapush("train", "--steps", 1_500_000, "--no-evaluation", "--results", folder / "results", *fields)
    openrl = runs.recorded("openrl-cuboid", folder)
    config, series = runs.diseased("policy-std-exploding")
    steps = {tag: (at / 4, values) for tag, (at, values) in series.items()}
    config["experiment"] = "ill"
    config["training"]["total_steps"] //= 4
    ill = runs.write_run(folder / "ill", config, steps)
    options = ["--html", folder / "report.html", "--episodes", 40]
    mapush("compare", the_run(folder / "results"), openrl, ill, *options)
    return folder / "report.html"


def wait_until(page, expression):
    """Wait for an expression to be true; the page forbids what playwright's own way of waiting needs (eval)."""
    for _ in range(300):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(100)
    raise AssertionError(f"never: {expression}")


def show(page, section):
    page.evaluate("name => document.getElementById(name).scrollIntoView()", section)
    page.wait_for_timeout(200)


def traces(page, plot):
    return page.evaluate("name => document.getElementById(name).data.filter(t => t.hoverinfo !== 'skip').length", plot)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_draws_everything_on_a_desktop(report, visit, scheme):
    page = visit(report, (1280, 2150), scheme)
    assert page.evaluate("document.querySelectorAll('.plot').length") > 15
    assert page.evaluate("[...document.querySelectorAll('.plot')].every(plot => plot.querySelector('svg.main-svg'))")
    assert page.evaluate("document.documentElement.scrollWidth") <= 1280
    shade = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert shade == {"light": "rgb(255, 255, 255)", "dark": "rgb(18, 22, 28)"}[scheme]
    keep(f"report-{scheme}", page.screenshot(), 1000)


def test_it_follows_the_theme_while_it_is_open(report, visit):
    page = visit(report)
    colour = "() => document.getElementById('plot-success').data[0].line.color"
    before = page.evaluate(colour)
    page.emulate_media(color_scheme="dark")
    wait_until(page, f"({colour})() !== '{before}'")


def test_it_can_be_read_on_a_phone(report, visit):
    page = visit(report, (390, 1500), is_mobile=True, has_touch=True, device_scale_factor=2)
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    show(page, "checkpoints")
    keep("report-phone", page.screenshot(), 480)


def test_hovering_tells_a_value(report, visit):
    page = visit(report, (1280, 900))
    show(page, "curves")
    plot = page.locator("#plot-success .nsewdrag").first
    box = plot.bounding_box()
    for share in (0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1):
        page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + share * box["height"])
        page.wait_for_timeout(150)
        if page.locator("#plot-success .hovertext").count():
            break
    text = page.locator("#plot-success .hovertext").first.text_content()
    assert "steps" in text
    keep("report-hover", page.screenshot(), 1000)


def test_the_legend_takes_a_run_out_of_every_figure_and_back(report, visit):
    page = visit(report)
    before = {name: traces(page, f"plot-{name}") for name in ("success", "entropy", "value-loss")}
    key = page.locator("#legend button", has_text="ill")
    key.click()
    assert key.get_attribute("aria-pressed") == "false"
    wait_until(page, "document.getElementById('plot-entropy').data.every(trace => !trace.name.startsWith('ill'))")
    assert all(traces(page, f"plot-{name}") < count for name, count in before.items())
    show(page, "curves")
    keep("report-legend", page.screenshot(), 1000)
    key.click()
    wait_until(page, "document.getElementById('plot-entropy').data.some(trace => trace.name.startsWith('ill'))")
    assert {name: traces(page, f"plot-{name}") for name in before} == before
    # And the legends of single figures.
    area = page.locator("#plot-endings-0 .legendtoggle").first
    area.scroll_into_view_if_needed()
    area.click()
    wait_until(page, "document.getElementById('plot-endings-0').data.some(trace => trace.visible === 'legendonly')")


def test_the_axis_turns_to_hours(report, visit):
    page = visit(report)
    last = "() => document.getElementById('plot-success').data[0].x.slice(-1)[0]"
    assert page.evaluate(last) > 1e6
    page.locator("#axis button", has_text="hours").click()
    wait_until(page, f"({last})() < 10")


def test_curves_are_smoothed_and_put_on_a_logarithm(report, visit):
    page = visit(report)
    values = "() => document.getElementById('plot-actor-gradient').data.map(trace => trace.y.slice(-1)[0]).join()"
    before = page.evaluate(values)
    page.locator("#smooth").fill("0.9")
    wait_until(page, f"({values})() !== '{before}'")
    page.locator("#log").check()
    wait_until(page, "document.getElementById('plot-actor-gradient').layout.yaxis.type === 'log'")
    wait_until(page, "document.getElementById('plot-terms-0').layout.yaxis.type === 'log'")


def test_terms_of_very_different_size_can_all_be_seen(report, visit):
    page = visit(report)
    drawn = "document.getElementById('plot-terms-1').data.filter(t => t.hoverinfo !== 'skip')"
    largest = page.evaluate(f"{drawn}.map(t => Math.max(...t.y.filter(at => at !== null).map(Math.abs)))")
    assert min(largest) > 0.9 or max(largest) < 100 * min(largest)


@pytest.mark.parametrize("size", [(1280, 900), (390, 1500)])
def test_nothing_lies_over_the_axes(report, visit, size):
    page = visit(report, size)
    page.evaluate("document.querySelectorAll('details').forEach(one => one.setAttribute('open', ''))")
    page.wait_for_timeout(500)
    over = """() => [...document.querySelectorAll('.plot')].filter(plot => {
        const area = plot.querySelector('.nsewdrag')?.getBoundingClientRect();
        return area && ['.legend', '.modebar'].some(name => {
            const box = plot.querySelector(name)?.getBoundingClientRect();
            return box && box.width && box.left < area.right - 1 && box.right > area.left + 1
                && box.top < area.bottom - 1 && box.bottom > area.top + 1;
        });
    }).map(plot => plot.id)"""
    assert page.evaluate(over) == []


def test_other_curves_are_drawn_when_they_are_opened(folder, visit):
    foreign.torchrl(folder)
    mapush("compare", folder / "exp", "--html", folder / "other.html", "--tag", "train/lr")
    page = visit(folder / "other.html")
    assert page.evaluate("document.querySelectorAll('#curves .plot').length") == 1
    page.locator("#raw summary").click()
    wait_until(page, "document.querySelectorAll('#raw .main-svg').length > 0")
    assert page.locator("#raw figcaption").all_text_contents() == ["eval/reward", "train/reward"]


def test_the_command_can_be_copied(report, visit):
    page = visit(report, permissions=["clipboard-read", "clipboard-write"])
    command = page.locator(".command code").first.text_content()
    assert command.startswith("mapush train --steps 1500000")
    page.locator(".copy").first.click()
    wait_until(page, "document.querySelector('.copy').textContent === 'copied'")


def test_episodes_are_drawn_from_above(report, visit):
    page = visit(report)
    shown = page.locator("#episodes svg")
    assert 2 <= shown.count() <= 8
    assert page.locator("#episodes svg polyline.robot").count() == 2 * shown.count()
    show(page, "episodes")
    keep("report-episodes", page.screenshot(), 1000)


def test_what_a_log_is_called_stays_text(folder, visit):
    config, series = runs.diseased("reward-term-idle")
    series[f"rewards/{HOSTILE}"] = series.pop("rewards/ocb_progress")
    config["experiment"], config["object"]["name"] = HOSTILE, HOSTILE
    bad = runs.write_run(folder / "hostile", config, series)
    manifest = {"command": ["mapush", HOSTILE], "commit": HOSTILE, "python": HOSTILE}
    (bad / "manifest.json").write_text(json.dumps(manifest))
    (bad / (HOSTILE.replace("/", "") + "-1.png")).write_bytes(b"no picture")
    mapush("compare", bad, "--html", folder / "hostile.html")
    page = visit(folder / "hostile.html")
    assert "taken" not in page.title().replace(HOSTILE, "")
    assert page.locator("h1").text_content() == HOSTILE
    assert page.evaluate("document.querySelectorAll('img[src=x]').length") == 0


def test_the_screenshots_of_the_documentation_are_these():
    text = (ROOT / "docs" / "report.md").read_text(encoding="utf-8")
    names = {path.name for path in IMAGES.glob("report-*.png")}
    assert names == {Path(part.split(")")[0]).name for part in text.split("](images/")[1:]}
