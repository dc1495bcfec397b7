"""Read and check the CSVs, split them into folds and a holdout, save the arrays."""

from collections import Counter

from digits.cli.context import Context, Outcome
from digits.common.disk import check_room
from digits.data.dataset import HOLDOUT, Dataset, save_dataset
from digits.data.sources import accept


def run(context: Context) -> Outcome:
    """Make data/processed/<competition>-<fingerprint>, unless it exists, and print what is in it."""
    missing = not context.data_folder.is_dir()
    if missing:
        from digits.data.build import prepare  # noqa: PLC0415 - takes a second, wasted where the arrays exist

        size = sum(context.source.sizes()) / 1e6
        with context.fitting_files(), context.console.bar("read", size, "MB") as bar:
            arrays, about = prepare(context.source, context.params, lambda count: bar.advance(count / 1e6))
        check_room(context.paths.processed, sum(array.nbytes for array in arrays.values()), "the arrays")
        save_dataset(context.data_folder, arrays, about)
    accept(context.source, context.paths)
    _print_contents(context, context.data)
    data = context.data
    return Outcome(
        f"{len(data.images):,} labelled and {len(data.test_images):,} test images of {data.size}; "
        f"{data.fold_count} folds, {len(data.holdout_rows):,} images held out",
        missing,
        ("make submit   fits networks and writes a submission", "make baseline   fits scikit-learn models"),
    )


def _print_contents(context: Context, data: Dataset) -> None:
    """Print what was understood: notices and warnings about the files, and images per class and per fold."""
    for notice in data.about["notices"]:
        context.console.warn(notice) if notice.startswith("WARNING") else context.console.say(notice)
    counts = zip(data.class_names, data.about["class_counts"], strict=True)
    sizes = Counter(data.folds.tolist())
    folds = [f"{fold}: {sizes[fold]:,}" for fold in range(data.fold_count)]
    kind = {1: "grey", 3: "colour"}.get(data.channels, f"{data.channels} values per pixel")
    context.console.say(
        f"images   {len(data.images):,} labelled, {len(data.test_images):,} to predict; {data.size}, {kind}"
    )
    context.console.say("classes  " + "  ".join(f"{name}: {count:,}" for name, count in counts))
    context.console.say("folds    " + "  ".join([*folds, f"holdout: {sizes[HOLDOUT]:,}"]))
    # the same on every machine for the same images in the same folds
    context.console.say(f"hash     {data.hash[:16]}  from {data.about['source']} ({data.about['provenance']})")
