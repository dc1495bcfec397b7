"""List the submissions of the ledger."""

from digits.cli.context import Context, Outcome
from digits.kaggle.ledger import EXPECTED


def run(context: Context) -> Outcome:
    """Print estimate, score and state of each submission, oldest first; sends no request to Kaggle."""
    lines = [*context.ledger.intents(context.params.competition.slug).values()]
    rows = [
        [
            line["time"].replace("T", " ").removesuffix("+00:00"),
            line["file"],
            line["expected"] and "{:.4f} ({:.4f} to {:.4f})".format(*(float(line[name]) for name in EXPECTED)),
            line["public_score"] or "-",
            f"{line['state']}: {line['reason']}" if line["reason"] else line["state"],
            line["intent"],
        ]
        for line in lines
    ]
    if rows:
        context.console.table(["UTC", "file", "expected score (95 %)", "score", "state", "tag"], rows)
    sent = sum(bool(line["ref"]) for line in lines)
    return Outcome(f"{len(lines)} of {context.params.competition.slug}, {sent} of them uploaded", True)
