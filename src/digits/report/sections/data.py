"""The competition's images: where they come from, how many there are of each class, and what they look like."""

import numpy as np
from numpy.typing import NDArray

from digits.report.chart import as_chart, image_grid, name_classes, subplots
from digits.report.gather import Content
from digits.report.layout import Figure, Section

_EXAMPLES = 5  # of each class


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
    rows = np.concatenate([np.flatnonzero(labels == label)[:_EXAMPLES] for label in range(len(names))])
    titles = [names[label] for label in labels[rows]]
    text = f"The first {_EXAMPLES} images of each class: {', '.join(names)}"
    images = image_grid(data.shaped(data.images[rows]), titles, columns=2 * _EXAMPLES)
    result.add_image("The first images of each class", text, images)
    result.add_chart(class_counts(labels, names))
    return result


def class_counts(labels: NDArray[np.int64], names: list[str]) -> Figure:
    """Number of labelled images of each class; labels: (n,)."""
    counts = np.bincount(labels, minlength=len(names))
    few, many = int(counts.argmin()), int(counts.argmax())
    title = f"Labelled images per class: from {counts[few]:,} of {names[few]} to {counts[many]:,} of {names[many]}"
    text = "; ".join(f"{name}: {count:,}" for name, count in zip(names, counts, strict=True))
    with subplots(7, 3) as (figure, ((axes,),)):
        axes.bar(range(len(names)), counts)
        name_classes(axes, names)
        axes.set(xlabel="class", ylabel="labelled images")
        axes.grid(visible=True, axis="y")
        return as_chart(figure, "class-counts", title, text)
