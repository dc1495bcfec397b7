"""The competition's images: where they come from, how many there are of each class, and what they look like."""

import numpy as np

from digits.common.plots import image_png
from digits.report.chart import by_class
from digits.report.gather import Content
from digits.report.layout import Section

_EXAMPLES = 4  # of each class


def section(content: Content) -> Section:
    """Counts, notices, examples of each class, and a chart of the classes."""
    result = Section("data", "Which images are used?")
    if content.data is None:
        result.missing = "The images are not prepared yet; type make data."
        return result
    data = content.data
    result.sentences.append(
        f"{len(data.images):,} labelled images and {len(data.test_images):,} test images, which have no labels, from "
        f"{data.about['source']} ({data.about['provenance']}; hash {data.hash[:16]}). {len(data.holdout_rows):,} of "
        f"the labelled images are the holdout, on which nothing is chosen; the others form {data.fold_count} folds."
    )
    result.sentences += data.about.get("notices", [])
    names, labels = data.class_names, np.asarray(data.labels)
    rows = {name: np.flatnonzero(labels == label)[:_EXAMPLES] for label, name in enumerate(names)}
    strips = {name: np.concatenate(data.shaped(data.images[own]), axis=1) for name, own in rows.items() if len(own)}
    result.add_gallery("The first images of each class", [(image_png(each), [name]) for name, each in strips.items()])
    counts = np.bincount(labels, minlength=len(names))
    few, many = int(counts.argmin()), int(counts.argmax())
    title = f"Labelled images per class: from {counts[few]:,} of {names[few]} to {counts[many]:,} of {names[many]}"
    if few == many:  # all are as frequent
        result.sentences.append(f"There are {counts[few]:,} labelled images of each class.")
        return result
    result.figures.append(by_class(title, names, counts.tolist(), "labelled images", ",d"))
    return result
