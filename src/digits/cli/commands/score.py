"""Ask Kaggle for the scores that the ledger does not have yet."""

from digits.cli.context import Context, Outcome
from digits.common.errors import UserError
from digits.kaggle.failures import KaggleError
from digits.kaggle.ledger import verdict


def run(context: Context) -> Outcome:
    """Bring the ledger up to date; waits up to kaggle.score_timeout minutes for each score."""
    intents = context.ledger.intents(context.params.competition.slug)
    if not any(line["ref"] or line["state"] == "uploading" for line in intents.values()):
        raise UserError("no submission was uploaded yet; type: make submit")
    unsettled = [intent for intent, line in intents.items() if line["state"] in ("uploading", "uploaded")]
    for intent in unsettled:
        try:
            context.uploader.refresh(intent)
        except KaggleError:
            raise
        except UserError as error:  # one submission that Kaggle cannot score must not keep the others from theirs
            context.console.warn(str(error))
    latest = [*context.ledger.intents(context.params.competition.slug).values()]
    lines = [line for line in latest if line["intent"] in unsettled] or latest[-1:]
    told = (f"{line['file']}: expected {line['expected'] or 'unknown'}{verdict(line)}" for line in lines)
    return Outcome("\n".join(told), bool(unsettled))
