"""Show the account's rank on Kaggle's public leaderboard."""

from digits.cli.context import Context, Outcome
from digits.evaluation.scoring import METRICS
from digits.kaggle.ledger import best_scored


def run(context: Context) -> Outcome:
    """Print the account's rank, the best teams, and the best submission of the ledger."""
    slug = context.params.competition.slug
    with context.console.status("waiting for Kaggle"):
        standing = context.kaggle.standing()
    context.console.table(
        ["rank", "team", "score"], [[str(n), team, score] for n, (team, score) in enumerate(standing.top, 1)]
    )
    best = best_scored(context.ledger.intents(slug).values(), METRICS[context.params.competition.metric].sign)
    rank = f"rank {standing.rank:,}" if standing.rank else "no rank yet"
    teams = f" of {standing.teams:,} teams" if standing.teams else ""
    own = f"; best submission of this project: {best['public_score']}, {best['file']}" if best else ""
    return Outcome(f"{slug}: {rank}{teams}{own}", True)
