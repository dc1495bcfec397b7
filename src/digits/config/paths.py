"""The folders of the project."""

from pathlib import Path


class Paths:
    """Folders and files below the project's root; none is created here."""

    def __init__(self, root: Path):
        self.root = root
        self.raw = root / "data" / "raw"  # the competition's files as Kaggle ships them; never changed
        self.copies = self.raw / "copies"  # copies of files named with DATA=, unpacked; one folder per content
        self.downloads = self.raw / "kaggle"  # archives that were downloaded from Kaggle, as it ships them
        self.practice = root / "data" / "practice"  # the practice set, written as a competition's CSVs
        self.processed = root / "data" / "processed"  # arrays and folds, one folder per content
        self.runs = root / "runs"  # one folder per run
        self.sessions = self.runs / "kaggle"  # sessions on Kaggle that are not ended, and what they have left
        self.studies = self.runs / "tune"  # one folder per study of `make tune`
        self.submissions = root / "submissions"  # the CSVs to upload, and the ledger
        self.ledger = self.submissions / "ledger.csv"  # the log of submissions: one line per event
        self.reports = root / "reports"  # tables, plots and pages for people
        self.predictions = root / "predictions"  # labels of other images
        self.exported = root / "export"  # models for other programs, one folder per blend
        self.demo = root / "demo"  # the page that reads a drawn digit
        self.written = (
            self.copies,
            self.processed,
            self.practice,
            self.runs,
            self.submissions,
            self.reports,
            self.predictions,
            self.exported,
            self.demo,
        )
