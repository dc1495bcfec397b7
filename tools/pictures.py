"""Make the pictures of the documentation from the runs of this checkout, after make submit and make report."""

import shutil
from pathlib import Path

import numpy as np
from matplotlib import pyplot as plt
from playwright.sync_api import sync_playwright

from digits.common.plots import as_png, draw_images, drawing
from digits.config import Params, Paths, load_params
from digits.data.dataset import Dataset, load_dataset
from digits.data.sources import find_source, folder_name
from digits.models.augmentation import augment_images

WIDTH, HEIGHT = 1000, 1150  # pixels of the report's first part
COPIES = 9  # of each image
SEED = 0


def screenshot(page: Path, target: Path) -> None:
    """The first part of an HTML page, as a browser shows it."""
    executable = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        tab.goto(page.resolve().as_uri())
        tab.screenshot(path=target)
        browser.close()


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
    """Write docs/images/report.png and augmentation.png."""
    paths = Paths(Path.cwd())
    params = load_params(paths.root / "params.yaml")
    images = paths.root / "docs" / "images"
    source = find_source(params.competition, paths, None)
    augmentation(load_dataset(paths.processed / folder_name(params, source)), params, images / "augmentation.png")
    screenshot(paths.reports / "index.html", images / "report.png")


if __name__ == "__main__":
    main()
