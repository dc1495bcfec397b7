"""The competition's images: where they come from, how many there are of each class, and what they look like."""

import numpy as np

from digits.data.dataset import Dataset
from digits.report.chart import as_chart, name_classes, subplots
from digits.report.galleries import examples
from digits.report.gather import Content
from digits.report.layout import Figure, Section


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
    image, text = examples(data, data.class_names)
    result.add_image("The first images of each class", text, image)
    result.add_chart(class_counts(data, data.class_names))
    return result


def class_counts(data: Dataset, names: list[str]) -> Figure:
    """Number of labelled images of each class."""
    counts = np.bincount(np.asarray(data.labels), minlength=len(names))
    few, many = int(counts.argmin()), int(counts.argmax())
    title = f"Labelled images per class: from {counts[few]:,} of {names[few]} to {counts[many]:,} of {names[many]}"
    text = "; ".join(f"{name}: {count:,}" for name, count in zip(names, counts, strict=True))
    with subplots(7, 3) as (figure, ((axes,),)):
        axes.bar(range(len(names)), counts)
        name_classes(axes, names)
        axes.set(xlabel="class", ylabel="labelled images")
        axes.grid(visible=True, axis="y")
        return as_chart(figure, "class-counts", title, text)
