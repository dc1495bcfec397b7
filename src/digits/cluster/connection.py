"""The connection to a scheduler: its address, encryption, and what is said if there is none."""

from json import loads
from pathlib import Path
from socket import create_connection
from typing import Any

from distributed import Client, Security
from distributed.comm.addressing import parse_address, parse_host_port

from digits.cluster.admission import in_a_line
from digits.common.errors import UserError

CONNECT = 10.0  # seconds until a scheduler must have answered
_PORT = 8786  # of a scheduler, if the address names none
_LARGEST = 2**20  # bytes of a greeting of Dask
_CERTIFICATES = "docs/cluster.md, Security, has the variables that name them"
# Dask's client without its end: `close` is called here, and one that has never connected would wait 20 s at the exit
_Client: Any = type("_Client", (Client,), {"__del__": lambda _: None})


def connect(address: str) -> tuple[Client, str]:
    """A connection to a scheduler, by its address or the file that it has written, and its address.

    Encryption and certificates are those that Dask is configured for. Raises UserError in a line.
    """
    found = _resolved(address)
    security = _security(found)
    try:
        _check_greeting(found)
        client: Client = _Client(found, timeout=CONNECT, set_as_default=False, security=security)
    except Exception as error:  # whatever Dask makes of something else than a scheduler
        raise UserError(
            f"CLUSTER={address}: no scheduler answers: {in_a_line(error)}; correct the address, or type make cluster, "
            "which starts one here"
        ) from None
    return client, found


def _resolved(address: str) -> str:
    if "://" in address:
        return address
    try:
        return str(loads(Path(address).read_text(encoding="utf-8"))["address"])
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(
            f"CLUSTER={address}: no address like tcp://HOST:8786, and no file by dask scheduler --scheduler-file FILE"
        ) from None


def _security(address: str) -> Security:
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


def _check_greeting(address: str) -> None:
    """Raise OSError, with the cause, unless Dask listens at a tcp address and greets.

    Dask itself would wait for ever for the greeting of a program that says nothing.
    """
    scheme, location = parse_address(address)
    if scheme != "tcp":
        return
    with create_connection(parse_host_port(location, _PORT), CONNECT) as connection:
        connection.settimeout(CONNECT)
        try:
            size = int.from_bytes(connection.recv(8), "little")  # the first of a message
        except TimeoutError:
            size = 0
    if not 0 < size < _LARGEST:
        raise OSError("what listens there is no scheduler of Dask")
