"""Read and check the CSVs, split them into folds and a holdout, keep the arrays."""

from collections import Counter

from digits.cli.context import Job, Outcome
from digits.common.host import peak_memory
from digits.data.dataset import HOLDOUT, Dataset, save_dataset
from digits.data.sources import accept


def run(job: Job) -> Outcome:
    """Make data/processed/<competition>-<fingerprint>."""
    fresh = not job.data_folder.is_dir()
    if fresh:
        from digits.data.build import prepare  # noqa: PLC0415 - a second, which a command with nothing to do saves

        with job.console.bar("read", sum(job.source.sizes()) / 1e6, "MB") as bar:
            arrays, about = prepare(job.source, job.params, lambda count: bar.advance(count / 1e6))
        save_dataset(job.data_folder, arrays, about)
    accept(job.source, job.params.competition, job.paths)
    _show(job, job.data)
    if fresh:
        job.console.say(f"memory   {peak_memory():,.0f} MB at most")
    height, width = job.data.image_shape
    return Outcome(
        f"{len(job.data.images):,} labelled and {len(job.data.test_images):,} test images of {height}x{width}; "
        f"{job.data.fold_count} folds, {len(job.data.holdout_rows):,} images held out",
        fresh,
    )


def _show(job: Job, data: Dataset) -> None:
    """What is unusual, classes with their counts, folds, hash."""
    for notice in data.about["notices"]:
        job.console.warn(notice) if notice.startswith("WARNING") else job.console.say(notice)
    names = job.params.competition.class_names or tuple(map(str, range(data.classes)))
    counts = zip(names, data.about["class_counts"], strict=True)
    parts = Counter(data.folds.tolist())
    folds = [f"{fold}: {parts[fold]:,}" for fold in range(data.fold_count)]
    job.console.say("classes  " + "  ".join(f"{name}: {count:,}" for name, count in counts))
    job.console.say("folds    " + "  ".join([*folds, f"holdout: {parts[HOLDOUT]:,}"]))
    job.console.say(f"hash     {data.hash[:16]}  from {data.about['source']} ({data.about['provenance']})")
