"""The name of the folder that caches a dataset: a fingerprint of everything that decides its content."""

from digits.common.code_version import code_version
from digits.common.files import fingerprint
from digits.config import Params
from digits.data.sources import Source


def folder_name(params: Params, source: Source) -> str:
    """Name of the folder below data/processed for these params, these files and the code that prepares them."""
    decisive = {
        "files": source.sha256,
        "provenance": source.provenance,
        "competition": params.competition.model_dump(mode="json", exclude={"public_share"}),
        "split": params.data.model_dump(mode="json", exclude={"normalise"}),
        "code": code_version("data"),
    }
    return f"{params.competition.slug}-{fingerprint(decisive)}"
