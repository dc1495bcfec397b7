"""Kaggle's kernels on this machine: each pushed script really runs, in a folder laid out as Kaggle's."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kaggle_server import Fault, Handler, KaggleServer

PAGE = 2  # files on each page of an output
FULL = Fault(status=412, message="Maximum batch GPU session count of 2 reached.")


@dataclass
class Kernel:
    """A kernel with its session. request: as it was pushed. submitted: whether it was submitted to the competition."""

    request: dict[str, Any]
    root: Path
    process: "subprocess.Popen[bytes] | None"
    ends: str = ""  # how it ends, if not by its script

    @property
    def working(self) -> Path:
        return self.root / "working"

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def status(self) -> str:
        if self.ends:
            return self.ends
        if self.process is None:
            return "QUEUED"
        return "RUNNING" if self.running else "ERROR" if self.process.returncode else "COMPLETE"

    def log(self) -> str:
        path = self.root / "log.txt"
        return path.read_text(errors="replace") if path.exists() else ""

    def kill(self) -> None:
        if self.process:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


class KernelsServer(KaggleServer):
    """files: of the competition, a folder. refusal: said in answer to the next pushes, in `error`."""

    def __init__(self, folder: Path, files: Path):
        super().__init__()
        self.folder, self.files = folder, files
        self.kernels: dict[str, Kernel] = {}
        self.deleted: list[Kernel] = []
        self.most = 0  # kernels at a time
        self.refusals: list[str] = []
        self.used, self.allowed_time = "3600s", "108000s"
        self.environment_there: dict[str, str] = {"DIGITS_KAGGLE_CPU": "1"}
        self.new_place = True  # where Kaggle puts the competition's files
        self.renames = False  # whether Kaggle gives kernels other names
        self.dies = False  # whether sessions die once they have left a fit
        self.queued = False  # whether sessions wait

    @property
    def pushed(self) -> list[Kernel]:
        """All kernels that ever were."""
        return [*self.deleted, *self.kernels.values()]

    def running_sessions(self) -> list[str]:
        return [slug for slug, kernel in self.kernels.items() if kernel.status in ("QUEUED", "RUNNING")]

    def start(self, request: dict[str, Any]) -> Kernel:
        """Run a script as Kaggle does: no credentials, nothing of this project, the files read-only."""
        root = self.folder / f"kernel-{len(self.pushed)}"
        [slug] = request["competitionDataSources"]
        place = root / "input" / "competitions" / slug if self.new_place else root / "input" / slug
        shutil.copytree(self.files, place)
        kernel = Kernel(request, root, None)
        kernel.working.mkdir()
        (root / "script.py").write_text(request["text"])
        environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("KAGGLE_", "PYTHON", "http_proxy"))
        }
        environment |= {"HOME": str(root), "DIGITS_KAGGLE_ROOT": str(root)} | self.environment_there
        if not self.queued:
            with (root / "log.txt").open("wb") as log:
                kernel.process = subprocess.Popen(
                    [sys.executable, str(root / "script.py")],
                    cwd=kernel.working,
                    env=environment,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
        return kernel

    def server_close(self) -> None:
        for kernel in self.pushed:
            kernel.kill()
        super().server_close()


class KernelsHandler(Handler):
    """The part of the protocol that is about kernels."""

    server: KernelsServer

    def handle_one(self) -> None:
        parts = self.path.partition("?")[0].split("/")
        if "output" in parts:
            path = self.server.kernels[parts[-2]].working / parts[-1] if parts[-2] in self.server.kernels else None
            with self.server.lock:
                self.server.requests.append("file")
                fault = self.server.faults["file"].pop(0) if self.server.faults["file"] else None
            if fault:
                self.answer(b"<Error>the address has expired</Error>", fault.status)
            elif path:
                self.answer(path.read_bytes())
        elif "stream" in parts:
            self.stream(parts[-1])
        else:
            super().handle_one()

    do_POST = do_PUT = do_GET = handle_one  # noqa: N815 - as the library calls them

    def stream(self, slug: str) -> None:
        """The log of a running session, as events."""
        kernel = self.server.kernels.get(slug)
        if kernel is None or not kernel.running:
            self.answer({"code": 404, "message": "no"}, 404)
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        sent = 0
        with suppress(OSError):
            while kernel.running:
                text = kernel.log()
                for line in text[sent:].splitlines():
                    event = {"stream_name": "stdout", "time": 1.0, "data": f"{line}\n"}
                    self.wfile.write(f"data: {json.dumps(event)}\n\n".encode())
                sent = len(text)
                self.wfile.flush()
                time.sleep(0.1)
            self.wfile.write(b"data: END_OF_LOG\n\n")

    def call(self, name: str, request: dict[str, Any]) -> tuple[Any, int, dict[str, str]]:
        """What a method of the service returns."""
        server = self.server
        methods = {
            "SaveKernel": self.save,
            "GetKernelSessionStatus": self.status,
            "ListKernelSessionOutput": self.output,
            "GetAcceleratorQuotaStatistics": self.quota,
            "DeleteKernel": self.delete,
            "ListKernels": self.listed,
            "CreateCodeSubmission": self.submit,
        }
        if not self.known() or name not in methods:
            return super().call(name, request)
        with server.lock:
            content, status = methods[name](request)
        return content, status, {}

    def kernel(self, request: dict[str, Any]) -> Kernel | None:
        return self.server.kernels.get(request["kernelSlug"])

    def save(self, request: dict[str, Any]) -> tuple[Any, int]:
        server = self.server
        owner, slug = request["slug"].split("/")
        assert len(request["newTitle"]) in range(5, 51)
        assert request["isPrivate"], "nothing of ours is public"
        assert slug not in server.kernels, "a second session beside the first"
        if server.refusals:
            return {"error": server.refusals.pop(0), "ref": "", "url": "", "kernelId": 0}, 200
        if len(server.running_sessions()) >= 2:
            return {"error": {"code": 412, "message": FULL.message}}, 412
        server.kernels[slug] = server.start(request)
        server.most = max(server.most, len(server.kernels))
        if self.server.renames:
            server.kernels[f"{slug}-2"] = server.kernels.pop(slug)
            slug = f"{slug}-2"
        ref = f"/code/{owner}/{slug}"
        return {"ref": ref, "url": f"https://www.kaggle.com{ref}", "versionNumber": 1, "kernelId": 5}, 200

    def status(self, request: dict[str, Any]) -> tuple[Any, int]:
        if not (kernel := self.kernel(request)):
            return {"error": {"code": 403, "message": "Permission 'kernels.get' was denied"}}, 403
        if self.server.dies and [*kernel.working.glob("*.zip")]:
            kernel.kill()
            kernel.ends = "ERROR"
        return {"status": kernel.status, "failureMessage": "the machine was lost" if kernel.ends else None}, 200

    def output(self, request: dict[str, Any]) -> tuple[Any, int]:
        if not (kernel := self.kernel(request)):
            return {"error": {"code": 403, "message": "Permission 'kernels.get' was denied"}}, 403
        names = sorted(path.name for path in kernel.working.iterdir())
        first = int(request.get("pageToken") or 0)
        pieces = [{"stream_name": "stdout", "time": 1.0, "data": line} for line in kernel.log().splitlines(True)]
        address = f"http://localhost/output/{request['kernelSlug']}"
        files = [
            {"fileName": each, "url": f"{address}/{each}?signed=by-kaggle"} for each in names[first : first + PAGE]
        ]
        more = str(first + PAGE) if first + PAGE < len(names) else ""
        return {"files": files, "log": json.dumps(pieces), "nextPageToken": more}, 200

    def quota(self, request: dict[str, Any]) -> tuple[Any, int]:
        quota = {"timeUsed": self.server.used, "totalTimeAllowed": self.server.allowed_time}
        return {"quotaRefreshTime": "2026-12-05T00:00:00.000Z", "gpuQuota": quota}, 200

    def delete(self, request: dict[str, Any]) -> tuple[Any, int]:
        kernel = self.server.kernels.pop(request["kernelSlug"], None)
        if kernel is None:
            return {"error": {"code": 403, "message": "Permission 'kernels.delete' was denied"}}, 403
        kernel.kill()
        self.server.deleted.append(kernel)
        return {}, 200

    def submit(self, request: dict[str, Any]) -> tuple[Any, int]:
        kernel = self.kernel(request)
        if not kernel or kernel.status != "COMPLETE" or not (kernel.working / request["fileName"]).exists():
            return {"error": {"code": 400, "message": "No such output"}}, 400
        number = 7 + len(self.server.submissions)
        entry = {"ref": number, "date": "2026-11-21T12:00:00Z", "fileName": request["fileName"]}
        self.server.submissions.insert(0, entry | {"description": request["submissionDescription"]})
        return {"message": "ok", "ref": number}, 200

    def listed(self, request: dict[str, Any]) -> tuple[Any, int]:
        found = [slug for slug in self.server.kernels if request.get("search", "") in slug]
        return {"kernels": [{"ref": f"someone/{slug}", "slug": slug} for slug in found], "nextPageToken": ""}, 200


KernelsServer.handler = KernelsHandler
