"""A server for this computer alone, which answers a few addresses and serves no files."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import cast

_LOOPBACK = ("127.0.0.1", "localhost")
_HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_NOTHING = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


@dataclass(frozen=True)
class Answer:
    """What an address answers. make: its text. policy: what else than nothing a page of it may load and run."""

    kind: str
    make: Callable[[], str]
    policy: str = ""


class Server(ThreadingHTTPServer):
    """Listens on a free port of the loopback device; answers: by path."""

    def __init__(self, answers: Mapping[str, Answer]):
        self.answers = answers
        super().__init__((_LOOPBACK[0], 0), _Handler)

    @property
    def address(self) -> str:
        """Of its first page."""
        return f"http://{_LOOPBACK[0]}:{self.server_port}/"

    def handle_error(self, request: object, client_address: object) -> None:
        """A browser that is closed meanwhile is no error."""


class _Handler(BaseHTTPRequestHandler):
    server_version, sys_version = "digits", ""
    timeout = 30  # seconds for a request to arrive

    def do_GET(self) -> None:
        # a name that somebody else lets point to this computer is not ours: their page could read the answer
        if self.headers.get("Host", "").partition(":")[0] not in _LOOPBACK:
            self._send(403, Answer("text/plain", lambda: "only for this computer\n"))
            return
        answer = cast(Server, self.server).answers.get(self.path.partition("?")[0])
        self._send(200 if answer else 404, answer or Answer("text/plain", lambda: "there is no such page\n"))

    def do_HEAD(self) -> None:
        self.do_GET()

    def _send(self, status: int, answer: Answer) -> None:
        kind = answer.kind
        try:
            body = answer.make()
        except Exception as error:  # files may vanish or be half written while they are read
            status, kind = 503, "text/plain"
            body = f"cannot be shown now: {' '.join(str(error).split())}; load it again\n"
        content = body.encode()
        self.send_response(status)
        policy = "; ".join(filter(None, (_NOTHING, answer.policy)))
        headers = {**_HEADERS, "Content-Type": f"{kind}; charset=utf-8", "Content-Security-Policy": policy}
        for name, value in (*headers.items(), ("Content-Length", str(len(content)))):
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Not in the terminal."""
