"""Pages in the system's Chromium, without a network."""

import pytest

from tests.browser.chromium import browser as browser


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
