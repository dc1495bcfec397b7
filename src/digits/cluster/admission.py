"""Who is used of a cluster: its address, and which of its processes are refused, in a line each."""

from collections.abc import Mapping
from json import loads
from pathlib import Path
from socket import create_connection
from typing import Any

from distributed import Security
from distributed.comm.addressing import parse_address, parse_host_port

from digits.common.errors import UserError

_CERTIFICATES = "docs/cluster.md, Security, has the variables that name them"
_LARGEST = 2**20  # bytes of a greeting of Dask
_UNEQUAL = "install the same there, best from the same lock file"


def resolved(address: str) -> str:
    """The scheduler's address, also of the file that it has written. Raises UserError if it is neither."""
    if "://" in address:
        return address
    try:
        return str(loads(Path(address).read_text(encoding="utf-8"))["address"])
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(
            f"CLUSTER={address}: no address like tcp://HOST:8786, and no file by dask scheduler --scheduler-file FILE"
        ) from None


def security(address: str) -> Security:
    """Dask's own settings for encryption. Raises UserError if the address cannot be reached with them."""
    settings = Security()
    try:
        encrypted = settings.get_connection_args("client")["ssl_context"] is not None
    except OSError as error:  # also of certificates: ssl.SSLError
        raise UserError(
            f"CLUSTER={address}: this machine's certificates cannot be used: {in_a_line(error)}; {_CERTIFICATES}"
        ) from None
    if address.startswith("tls://") and not encrypted:
        raise UserError(f"CLUSTER={address}: this machine has no certificates for TLS; {_CERTIFICATES}")
    if settings.require_encryption and not address.startswith("tls://"):
        raise UserError(f"CLUSTER={address}: Dask is told here to require encryption; its address begins with tls://")
    return settings


def check_greeting(address: str, seconds: float) -> None:
    """Raise OSError, with the cause, unless Dask listens at a tcp address and greets within so many seconds.

    Dask itself would wait for ever for the greeting of a program that says nothing.
    """
    scheme, location = parse_address(address)
    if scheme != "tcp":
        return
    with create_connection(parse_host_port(location, 8786), seconds) as connection:
        connection.settimeout(seconds)
        try:
            size = int.from_bytes(connection.recv(8), "little")  # the first of a message
        except TimeoutError:
            size = 0
    if not 0 < size < _LARGEST:
        raise OSError("what listens there is no scheduler of Dask")


def refusal(expected: Mapping[str, Any], found: Any) -> str:
    """Why a process of the cluster cannot be used, "" if it can. expected: what this machine has."""
    if isinstance(found, Exception):
        return f"digits does not run there: {in_a_line(found)}; {_UNEQUAL}"
    for name in expected.keys() - {"machine", "no children", "digits"}:
        if expected[name] != found.get(name):
            return f"it has {name} {found.get(name)}, and this machine {expected[name]}; {_UNEQUAL}"
    if expected["digits"] != found["digits"]:
        return f"it has another version of digits than this machine; {_UNEQUAL}"
    if found["no children"]:
        return (
            "its nanny forbids it to start processes; start it by dask worker --no-nanny, or with "
            "DASK_DISTRIBUTED__WORKER__DAEMON=False before it"
        )
    return ""


def in_a_line(error: BaseException) -> str:
    """What an error says, or else its type."""
    return " ".join(str(error).split()) or type(error).__name__
