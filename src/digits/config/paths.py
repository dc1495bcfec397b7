"""Where everything lies, from the project's root down."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Paths:
    """The project's folders; nothing is made by naming it here."""

    root: Path

    @property
    def raw(self) -> Path:
        """The competition's files as Kaggle ships them; never changed."""
        return self.root / "data" / "raw"

    @property
    def copies(self) -> Path:
        """Files that the user has named, unpacked; one folder per content."""
        return self.raw / "copies"

    @property
    def downloads(self) -> Path:
        """Archives that Kaggle was asked for, as it ships them."""
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
        """One folder per study of `tune`."""
        return self.runs / "tune"

    @property
    def submissions(self) -> Path:
        """The CSVs to upload, and the ledger."""
        return self.root / "submissions"

    @property
    def ledger(self) -> Path:
        """One line per submission."""
        return self.submissions / "ledger.csv"

    @property
    def reports(self) -> Path:
        """Tables and pages for people."""
        return self.root / "reports"
