"""Find the competition's files."""

from digits.job import Job, Outcome
from digits.sources import find_source, save_source


def run(job: Job) -> Outcome:
    """Write down which files the other stages use."""
    source = find_source(job.params.competition, job.paths, job.data)
    changed = save_source(job.paths.source, source)
    if source.provenance == "practice":
        job.console.warn(
            "PRACTICE: small stand-in digits, not the competition's. "
            "Scores mean nothing on Kaggle, nothing is uploaded.\n"
            "For the real ones: make submit DATA=path/to/"
            f"{job.params.competition.slug}.zip (kaggle.com/c/{job.params.competition.slug}/data)"
        )
    return Outcome(source.label, changed)
