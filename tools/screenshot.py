"""Take a picture of the first part of a page: screenshot.py PAGE PNG."""

import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

WIDTH, HEIGHT = 1000, 1150  # pixels

page, picture = map(Path, sys.argv[1:])
browser_path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
with sync_playwright() as playwright:
    browser = playwright.chromium.launch(executable_path=browser_path, args=["--no-sandbox"])
    shown = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
    shown.goto(page.resolve().as_uri())
    shown.screenshot(path=picture)
    browser.close()
