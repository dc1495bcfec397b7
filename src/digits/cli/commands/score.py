"""Ask Kaggle what has become of the submissions."""

from digits.cli.context import Context, Outcome
from digits.common.errors import UserError
from digits.kaggle.failures import KaggleError
from digits.kaggle.ledger import verdict


def run(context: Context) -> Outcome:
    """Bring the ledger up to date, waiting for scores as long as the params say."""
    intents = context.ledger.intents(context.params.competition.slug)
    if not any(line["ref"] or line["state"] == "uploading" for line in intents.values()):
        raise UserError("nothing was uploaded yet; type: make submit")
    unsettled = [intent for intent, line in intents.items() if line["state"] in ("uploading", "uploaded")]
    for intent in unsettled:
        try:
            context.delivery.refresh(intent)
        except KaggleError:
            raise
        except UserError as error:  # what is wrong with one submission does not keep others waiting
            context.console.warn(str(error))
    settled = [*context.ledger.intents(context.params.competition.slug).values()]
    shown = [line for line in settled if line["intent"] in unsettled] or settled[-1:]
    return Outcome(
        "\n".join(f"{line['file']}: expected {line['expected']}{verdict(line)}" for line in shown), bool(unsettled)
    )
