"""Old names in params files, and the names that have replaced them."""

from collections.abc import Iterator, Mapping
from typing import Any

from digits.common.errors import UserError

_NETWORKS = {"one-epoch": "tiny", "one-minute": "small", "two-minutes": "medium", "seven-convolutions": "deep"}
_NETWORK_KEYS = {
    "initializer": "kernel_initializer",
    "clip_norm": "clipnorm",
    "clip_value": "clipvalue",
    "ema": "ema_momentum",
    "patience": "early_stopping_patience",
    "keep_best": "restore_best_weights",
    "sharp": "shift_only",
    "views": "tta",
}
_SCHEDULE_KEYS = {"warm_up": "warmup"}
_DIMENSIONS = {
    "kernel": "kernel_size",
    "reduction": "pooling",
    "initializer": "kernel_initializer",
    "clip_norm": "clipnorm",
    "warm_up": "warmup",
}

# By the section's path today, in which * is any name: the section's old keys and the new ones.
RENAMED: Mapping[str, Mapping[str, str]] = {
    "baseline.models.*": {
        "components": "n_components",
        "learning_rate_left": "final_learning_rate_fraction",
        "averaged": "averaged_fraction",
        "calibration": "calibration_fraction",
    },
    "tune": {
        "trials": "n_trials",
        "epochs": "max_epochs",
        "reduction": "reduction_factor",
        "largest": "max_cost",
        "timeout": "trial_timeout",
        "first": "enqueue",
        "start": "initial_point",
    },
    "tune.enqueue": _NETWORKS,
    "tune.enqueue.*": _NETWORK_KEYS,
    "tune.enqueue.*.schedule": _SCHEDULE_KEYS,
    "tune.initial_point": _DIMENSIONS,
    "tune.space": _DIMENSIONS,
    "train": {
        **_NETWORK_KEYS,
        "among": "candidates",
        "beside": "extra",
        "measured": "measured_accuracy",
        "fits": "refits",
    },
    "train.schedule": _SCHEDULE_KEYS,
    "train.measured_accuracy.*": _NETWORKS,
    "networks": _NETWORKS,
    "networks.*": _NETWORK_KEYS,
    "networks.*.schedule": _SCHEDULE_KEYS,
    "ensemble": {"rounds": "selection_rounds", "stack_c": "stacking_c"},
    "kaggle": {"pause": "backoff", "listed": "listing_timeout", "poll": "poll_interval", "wait": "score_timeout"},
}
_NETWORK_VALUES = {("train", "network"), ("train", "candidates"), ("train", "extra")}  # keys whose values name networks


def refuse_old_names(content: Mapping[str, Any], origin: str) -> None:
    """Raise UserError if a params file's content has old names: one line each, which begins with `origin`."""
    lines = [f"{origin}: {fault}" for fault in _old_names(content, (), ())]
    if lines:
        raise UserError("\n".join(lines))


def _old_names(content: Mapping[str, Any], written: tuple[str, ...], path: tuple[str, ...]) -> Iterator[str]:
    """A fault for each old name. written, path: keys that lead to `content`, as written and as called today."""
    renamed = _renamed(path)
    for key, value in content.items():
        old, new = (*written, str(key)), (*path, renamed.get(key, str(key)))
        if key in renamed:
            yield f"{'.'.join(old)} is called {'.'.join(new)} now"
        if isinstance(value, dict):
            yield from _old_names(value, old, new)
        elif new in _NETWORK_VALUES:
            for name in value if isinstance(value, list) else [value]:
                if isinstance(name, str) and name in _NETWORKS:
                    yield f"{'.'.join(old)}: the network {name} is called {_NETWORKS[name]} now"


def _renamed(path: tuple[str, ...]) -> Mapping[str, str]:
    for section, renamed in RENAMED.items():
        keys = section.split(".")
        if len(keys) == len(path) and all(key in ("*", name) for key, name in zip(keys, path, strict=True)):
            return renamed
    return {}
