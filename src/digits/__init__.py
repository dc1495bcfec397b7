"""From a Kaggle competition's CSVs of images to a scored submission that can be trusted.

For notebooks and programs: `digits.latest()` is the newest blend of a project, `digits.load("runs/...")` a run or a
blend, and `digits.read("new.csv")` the images of a file. `digits.results` describes them.
"""

from typing import TYPE_CHECKING, Any

__all__ = ["Blend", "Images", "Run", "UserError", "latest", "load", "read"]

if TYPE_CHECKING:
    from digits.common.errors import UserError
    from digits.results import Blend, Images, Run, latest, load, read
else:

    def __getattr__(name: str) -> Any:
        """What `__all__` names, imported at its first use: commands and `import digits` wait for no large library."""
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module  # noqa: PLC0415 - after the check, for whoever only asks

        return getattr(import_module("digits.results"), name)

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
