"""What every page must be, in a real browser."""

import json
import re
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

from digits.watch.server import Answer, Server

OpenPage = Callable[[Path], Page]


@contextmanager
def running_browser() -> Iterator[Browser]:
    """Chromium; the test is skipped where there is none."""
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        pytest.skip("there is no Chromium, and tools/browser.sh could not install it")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield launched
        launched.close()


@contextmanager
def _observed(browser: Browser) -> Iterator[tuple[Page, list[str]]]:
    """A page, and what it logs and requests."""
    events: list[str] = []
    context = browser.new_context(viewport={"width": 1100, "height": 900}, has_touch=True)
    page = context.new_page()
    page.on("console", lambda message: events.append(message.text))
    page.on("pageerror", lambda error: events.append(str(error)))
    page.on("request", lambda request: events.append(request.url))
    yield page, events
    context.close()


@contextmanager
def opening(browser: Browser) -> Iterator[OpenPage]:
    """Opens a page, and checks at the end that it has loaded nothing else and logged nothing."""
    with _observed(browser) as (page, events):

        def open_page(path: Path) -> Page:
            page.goto(path.resolve().as_uri())
            return page

        yield open_page
        assert [text for text in events if not text.startswith(("file://", "data:"))] == []
        assert len([text for text in events if text.startswith("file://")]) == 1


@contextmanager
def serving(answers: Mapping[str, Answer]) -> Iterator[str]:
    """A server in this process; yields its address."""
    with Server(answers) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server.address
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def served(browser: Browser, address: str) -> Iterator[Page]:
    """The page that a server shows; checks at the end that it has asked that server alone and logged nothing."""
    with _observed(browser) as (page, events):
        page.goto(address)
        yield page
        assert [text for text in events if not text.startswith((address, "data:"))] == []


def is_accessible(page: Page) -> None:
    """axe finds no serious violation, in light and dark colours; a narrow screen shows the whole width."""
    for colours in ("light", "dark"):
        page.emulate_media(color_scheme=colours)
        violations = Axe().run(page).response["violations"]
        serious = [violation for violation in violations if violation["impact"] in ("serious", "critical")]
        assert [(violation["id"], violation["nodes"][0]["html"][:200]) for violation in serious] == []
    page.set_viewport_size({"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.set_viewport_size({"width": 1100, "height": 900})


def declared_in(html: str) -> dict[str, Any]:
    """The only chart in a part of a page, as its script is given it."""
    [found] = re.findall(r'<script type="application/json">(.*?)</script>', html)
    declared: dict[str, Any] = json.loads(found)
    return declared
