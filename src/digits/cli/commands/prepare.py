"""Read and check the CSVs, split them into folds and a holdout, keep the arrays."""

from collections import Counter

from digits.cli.context import Context, Outcome
from digits.common.host import peak_memory
from digits.data.dataset import HOLDOUT, Dataset, save_dataset
from digits.data.sources import accept


def run(context: Context) -> Outcome:
    """Make data/processed/<competition>-<fingerprint>."""
    fresh = not context.data_folder.is_dir()
    if fresh:
        from digits.data.build import prepare  # noqa: PLC0415 - a second, which a command with nothing to do saves

        with context.console.bar("read", sum(context.source.sizes()) / 1e6, "MB") as bar:
            arrays, about = prepare(context.source, context.params, lambda count: bar.advance(count / 1e6))
        save_dataset(context.data_folder, arrays, about)
    accept(context.source, context.params.competition, context.paths)
    _show(context, context.data)
    if fresh:
        context.console.say(f"memory   {peak_memory():,.0f} MB at most")
    height, width = context.data.image_shape
    return Outcome(
        f"{len(context.data.images):,} labelled and {len(context.data.test_images):,} test images of {height}x{width}; "
        f"{context.data.fold_count} folds, {len(context.data.holdout_rows):,} images held out",
        fresh,
    )


def _show(context: Context, data: Dataset) -> None:
    """What is unusual, classes with their counts, folds, hash."""
    for notice in data.about["notices"]:
        context.console.warn(notice) if notice.startswith("WARNING") else context.console.say(notice)
    names = context.params.competition.class_names or tuple(map(str, range(data.classes)))
    counts = zip(names, data.about["class_counts"], strict=True)
    parts = Counter(data.folds.tolist())
    folds = [f"{fold}: {parts[fold]:,}" for fold in range(data.fold_count)]
    context.console.say("classes  " + "  ".join(f"{name}: {count:,}" for name, count in counts))
    context.console.say("folds    " + "  ".join([*folds, f"holdout: {parts[HOLDOUT]:,}"]))
    context.console.say(f"hash     {data.hash[:16]}  from {data.about['source']} ({data.about['provenance']})")
