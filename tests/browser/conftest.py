"""Pages in a real browser, without a network."""

import io
import os
import shutil
from importlib.util import find_spec

import pytest

from tests.cli.runner import ROOT

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
NO_BROWSER = "" if CHROMIUM and find_spec("playwright") else "no Chromium, or no playwright: nox -s browser; CHROMIUM=…"
IMAGES = ROOT / "docs" / "images"
MOST_BYTES = 200_000


@pytest.fixture(scope="session")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        launched = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture
def visit(browser):
    """Opens a file in a new page of some size and scheme; afterwards nothing may have gone wrong in it."""
    contexts, wrong = [], []

    def opened(file, size=(1280, 900), scheme="light", ready="html[data-drawn]", **options):
        context = browser.new_context(
            viewport={"width": size[0], "height": size[1]}, color_scheme=scheme, offline=True, **options
        )
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: wrong.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("request", lambda asked: wrong.append(asked.url) if asked.url.startswith(("http", "ws")) else None)
        page.goto(file.as_uri())
        page.wait_for_selector(ready, timeout=120_000)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert wrong == []


def keep(name, shot, width=None):
    """Write a screenshot into docs/images, as small as it can be read."""
    from PIL import Image

    picture = Image.open(io.BytesIO(shot)).convert("RGB")
    if width is not None and picture.width > width:
        picture = picture.resize((width, round(picture.height * width / picture.width)), Image.LANCZOS)
    IMAGES.mkdir(exist_ok=True)
    file = IMAGES / f"{name}.png"
    for colours in (256, 128, 64, 32):
        few = picture.quantize(colours, Image.Quantize.MEDIANCUT, kmeans=3, dither=Image.Dither.NONE)
        few.save(str(file), optimize=True)
        if file.stat().st_size < MOST_BYTES:
            return
    raise AssertionError(f"{file} has {file.stat().st_size} bytes")
