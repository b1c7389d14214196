"""The system's Chromium, and pictures of its pages for docs/."""

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
_ARGUMENTS = ["--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
"""WebGL is drawn by the CPU."""


@pytest.fixture(scope="module")
def browser():
    from playwright import sync_api

    with sync_api.sync_playwright() as driver:
        launched = driver.chromium.launch(executable_path=CHROMIUM, args=_ARGUMENTS)
        yield launched
        launched.close()


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
