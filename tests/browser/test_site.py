"""The documentation's site as people open it: as files, without a server or a network; `nox -s browser`."""

import shutil
import subprocess
import sys

import pytest

import mapush_stack
from tests.browser.chromium import IMAGES, NO_BROWSER, keep
from tests.cli.runner import ROOT

pytestmark = [
    pytest.mark.skipif(bool(NO_BROWSER), reason=NO_BROWSER),
    pytest.mark.timeout(900),
]
DESKTOP, PHONE = (1280, 900), (390, 844)
TOUCH = {"is_mobile": True, "has_touch": True, "device_scale_factor": 2}
READY = "article h1"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    pytest.importorskip("mkdocs", reason="mkdocs is not installed: run nox -s browser")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize("size, options", [(DESKTOP, {}), (PHONE, TOUCH)], ids=["desktop", "phone"])
def test_no_page_scrolls_sideways_or_asks_for_anything(site, visit, size, options):
    page = visit(site / "index.html", size, ready=READY, **options)
    pages = sorted(set(site.rglob("*.html")) - {site / "404.html"})
    assert len(pages) > 35
    for file in pages:
        page.goto(file.as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") == size[0], file.name
        broken = "[...document.images].filter(one => one.complete && !one.naturalWidth).map(one => one.src)"
        assert page.evaluate(broken) == [], file.name


def test_search_finds_without_a_server(site, visit):
    page = visit(site / "tutorials" / "reward.html", ready=READY)
    page.fill("input.md-search__input", "occlusion")
    first = page.locator(".md-search-result__item a").first
    first.wait_for(timeout=60_000)
    keep("site-search", page.screenshot(), 1000)
    first.click()
    page.wait_for_url("**/task.html*")


def test_the_interface_is_documented(site, visit):
    page = visit(site / "api.html", ready=READY)
    ids = page.evaluate("[...document.querySelectorAll('h2[id]')].map(one => one.id)")
    assert {f"mapush_stack.{name}" for name in mapush_stack.__all__} <= set(ids)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_follows_the_scheme(site, visit, scheme):
    page = visit(site / "index.html", scheme=scheme, ready=READY)
    shade = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (shade == "rgb(255, 255, 255)") == (scheme == "light")
    keep(f"site-{scheme}", page.screenshot(), 1000)


def test_it_can_be_read_on_a_phone(site, visit):
    page = visit(site / "concepts.html", PHONE, scheme="dark", ready=READY, **TOUCH)
    keep("site-phone", page.screenshot(), 390)


def test_the_notebook_is_a_page(site, visit):
    page = visit(site / "tutorials" / "results.html", ready=READY)
    assert page.locator("article img").count() == 1 and page.locator("article pre").count() > 8


def test_a_broken_link_stops_the_build(site, tmp_path):
    for name in ("docs", "mkdocs.yml", "README.md", "CONTRIBUTING.md", "CHANGELOG.md", "env", "patches"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copyfile
        copy(ROOT / name, tmp_path / name)
    (tmp_path / "mapush_stack").symlink_to(ROOT / "mapush_stack")
    with (tmp_path / "docs" / "legs.md").open("a") as file:
        file.write("\n[gone](gpu.md#no-such-heading)\n")
    command = [sys.executable, "-m", "mkdocs", "build", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1 and "no-such-heading" in done.stderr


def test_the_screenshots_are_shown():
    shown = (ROOT / "docs" / "site.md").read_text(encoding="utf-8")
    assert all(f"images/{path.name}" in shown for path in IMAGES.glob("site-*.png"))
