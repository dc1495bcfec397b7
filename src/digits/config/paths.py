"""The folders of the project."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Paths:
    """Folders and files below the project's root; none is created here."""

    root: Path

    @property
    def raw(self) -> Path:
        """The competition's files as Kaggle ships them; never changed."""
        return self.root / "data" / "raw"

    @property
    def copies(self) -> Path:
        """Files that DATA= names, unpacked; one folder per content."""
        return self.raw / "copies"

    @property
    def downloads(self) -> Path:
        """Archives that were downloaded from Kaggle, as it ships them."""
        return self.raw / "kaggle"

    @property
    def practice(self) -> Path:
        """The practice set, written as a competition's CSVs."""
        return self.root / "data" / "practice"

    @property
    def processed(self) -> Path:
        """Arrays and folds, one folder per content."""
        return self.root / "data" / "processed"

    @property
    def runs(self) -> Path:
        """One folder per run."""
        return self.root / "runs"

    @property
    def studies(self) -> Path:
        """One folder per study of `make tune`."""
        return self.runs / "tune"

    @property
    def submissions(self) -> Path:
        """The CSVs to upload, and the ledger."""
        return self.root / "submissions"

    @property
    def ledger(self) -> Path:
        """The log of submissions: one line per event."""
        return self.submissions / "ledger.csv"

    @property
    def reports(self) -> Path:
        """Tables, plots and pages for people."""
        return self.root / "reports"
