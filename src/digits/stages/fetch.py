"""Find the competition's files."""

from digits.job import Job, Outcome


def run(job: Job) -> Outcome:
    """Find the files that this command uses, copying them where they are packed or lie elsewhere."""
    known = set(job.paths.copies.glob("*"))
    slug = job.params.competition.slug
    if job.source.provenance == "practice":
        job.console.warn(
            "PRACTICE: small stand-in digits, not the competition's. "
            "Scores mean nothing on Kaggle, nothing is uploaded.\n"
            f"For the real ones: make submit DATA=path/to/{slug}.zip (kaggle.com/c/{slug}/data)"
        )
    return Outcome(job.source.label, set(job.paths.copies.glob("*")) != known)
