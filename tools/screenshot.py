"""Write a PNG of the first part of a page: screenshot.py PAGE PNG."""

import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

WIDTH, HEIGHT = 1000, 1150  # pixels

source, target = map(Path, sys.argv[1:])
executable = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
with sync_playwright() as playwright:
    browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
    page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
    page.goto(source.resolve().as_uri())
    page.screenshot(path=target)
    browser.close()
