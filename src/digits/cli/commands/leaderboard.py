"""Show where the account stands on Kaggle's public leaderboard."""

from digits.cli.context import Context, Outcome


def run(context: Context) -> Outcome:
    """Ask Kaggle for the rank and the best teams, and print them beside the best of the ledger."""
    slug = context.params.competition.slug
    with context.console.waiting("Kaggle"):
        found = context.kaggle.standing()
    context.console.table(
        ["rank", "team", "score"], [[str(n), team, score] for n, (team, score) in enumerate(found.top, 1)]
    )
    scored = [line for line in context.ledger.intents(slug).values() if line["state"] == "scored"]
    best = max(scored, key=lambda line: float(line["public_score"]), default=None)
    rank = f"rank {found.rank:,}" if found.rank else "no rank yet"
    teams = f" of {found.teams:,} teams" if found.teams else ""
    own = f"; best from here: {best['public_score']}, {best['file']}" if best else ""
    return Outcome(f"{slug}: {rank}{teams}{own}", True)
