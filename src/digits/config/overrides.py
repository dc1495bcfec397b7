"""Merging of a layer of params into the layers before it: `train`, `networks`, and measured accuracies."""

from typing import Any

from digits.common.errors import UserError
from digits.common.matching import hint
from digits.config.networks import CnnSpec
from digits.config.section import Replacement, overlay

CHANGED = "changed-networks"  # in place of a competition: accuracies of networks that have changed since
Content = dict[str, Any]  # of a params file, sections by name; not validated yet


def lay_over(below: Content, layer: Content) -> Content:
    """`below`, changed by a further layer.

    The layer's `train` also changes each network of `below`; the layer's section of the network itself has precedence.
    An accuracy in `below` is kept if its network is the same with and without the layer. Otherwise it is no longer that
    of any competition: it moves to CHANGED, because it still tells whether the network is worth its time.
    """
    of_train, beneath = _network_keys(layer), below
    for name, network in section(below, "networks").items():
        if isinstance(network, dict):
            beneath = overlay(beneath, {"networks": {name: of_train}})
    content = overlay(beneath, layer)
    kept, changed = Content(), Content()
    for slug, shares in section(below, "train", "measured_accuracy").items():
        if isinstance(shares, dict):
            same = {name for name in shares if slug == CHANGED or _same_network(name, below, content)}
            kept[slug] = Replacement({name: shares[name] for name in shares if name in same})
            changed |= {name: shares[name] for name in shares if name not in same}
    if changed:
        kept[CHANGED] = Replacement(kept.get(CHANGED, {}) | changed)
    return overlay(overlay(beneath, {"train": {"measured_accuracy": kept}}), layer) if kept else content


def take_network(content: Content, origin: str) -> Content:
    """`content` with the network that train.network names merged into `train`. Raises UserError for an unknown name."""
    name, networks = section(content, "train").get("network"), content.get("networks")
    if not isinstance(name, str) or not isinstance(networks, dict):
        return content
    if name not in networks:
        unknown = f"train.network = {name!r}: there is no such network{hint(name, networks, ['networks'])}"
        raise UserError(f"{origin}: {unknown}")
    return overlay(content, {"train": section(networks, name)})


def section(content: Content, *keys: str) -> Content:
    """The section at a path of keys; {} if there is none, or a value in its place, which validation will refuse."""
    found: Any = content
    for key in keys:
        found = found.get(key) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else {}


def _network_keys(content: Content) -> Content:
    return {key: value for key, value in section(content, "train").items() if key in CnnSpec.model_fields}


def _same_network(name: str, one: Content, other: Content) -> bool:
    """Whether a network has the same parameters in both; a name that is not in `networks` has those of `train`."""
    first, second = (overlay(_network_keys(content), section(content, "networks", name)) for content in (one, other))
    return first == second
