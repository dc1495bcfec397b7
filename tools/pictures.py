"""Make the pictures of the documentation from the runs of this checkout, after make submit, report and demo."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
from matplotlib import pyplot as plt
from playwright.sync_api import Page, sync_playwright

from digits.common.plots import as_png, draw_images, drawing
from digits.config import Params, Paths, load_params
from digits.data.dataset import Dataset, load_dataset
from digits.data.sources import find_source, folder_name
from digits.models.augmentation import augment_images

WIDTH, REPORT, DEMO = 1000, 1150, 640  # pixels: width, heights of the pages' first parts
COPIES = 9  # of each image
SEED = 0


def screenshot(page: Path, target: Path, height: int, act: Callable[[Page], None] = lambda tab: None) -> None:
    """The first part of an HTML page, as a browser shows it once `act` has done what a visitor does."""
    executable = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": WIDTH, "height": height})
        tab.goto(page.resolve().as_uri())
        act(tab)
        tab.screenshot(path=target)
        browser.close()


def draw_five(tab: Page) -> None:
    """Draw a 5 on the pad of make demo, by the mouse."""
    box = tab.locator("#pad").bounding_box()
    assert box
    turns = np.radians(np.linspace(-125, 140, 30))
    bow = [*zip(0.47 + 0.23 * np.cos(turns), 0.64 + 0.21 * np.sin(turns), strict=True)]
    for stroke in ([(0.36, 0.17), (0.335, 0.45), *bow], [(0.36, 0.17), (0.7, 0.15)]):
        for number, (x, y) in enumerate(stroke):
            tab.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"])
            if not number:
                tab.mouse.down()
        tab.mouse.up()
    tab.locator("#shown").wait_for()


def augmentation(data: Dataset, params: Params, target: Path) -> None:
    """One image of each of five classes, and copies of it as the network `medium` sees them."""
    labels = np.asarray(data.labels)
    rows = [int(np.flatnonzero(labels == label)[0]) for label in range(5)]
    images = data.shaped(data.images[rows])
    generator = np.random.default_rng(SEED)
    augment = params.network("medium").augment.model_dump()
    copies = [augment_images(generator, images, **augment) for _ in range(COPIES)]
    shown = data.shaped(np.stack([images, *copies], axis=1).clip(0, 255).astype(np.uint8))
    titles = (["image"] + ["augmented"] * COPIES) + [""] * (len(shown) - COPIES - 1)
    with drawing():
        figure = plt.figure(figsize=(8, 4.2), layout="constrained")
        draw_images(figure, shown, titles, COPIES + 1)
        target.write_bytes(as_png(figure, 100))


def main() -> None:
    """Write docs/images/report.png, demo.png and augmentation.png."""
    paths = Paths(Path.cwd())
    params = load_params(paths.root / "params.yaml")
    images = paths.root / "docs" / "images"
    source = find_source(params.competition, paths, None)
    augmentation(load_dataset(paths.processed / folder_name(params, source)), params, images / "augmentation.png")
    screenshot(paths.reports / "index.html", images / "report.png", REPORT)
    screenshot(paths.demo / "index.html", images / "demo.png", DEMO, draw_five)


if __name__ == "__main__":
    main()
