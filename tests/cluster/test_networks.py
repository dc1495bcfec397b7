"""Encrypted connections, and a computer that is cut off: real schedulers and workers, as a user starts them."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from shutil import which
from typing import Any

import dask
import pytest

from clusters import CONSOLE, SAME_PATHS, WAIT, begun, connected, job, never, two_that_wait, until
from digits.cluster.client import Cluster
from digits.common.errors import UserError
from digits.common.executors import run_job
from digits.common.sealed import intact
from digits.data.dataset import Dataset
from toy_jobs import adds, write
from toys import ROOT

pytestmark = pytest.mark.slow


@contextmanager
def dask_process(
    *arguments: str, variables: dict[str, str], before: tuple[str, ...] = ()
) -> Iterator[subprocess.Popen[bytes]]:
    """A scheduler or worker without a dashboard. before: a command that runs it. variables: of its environment."""
    command = [*before, sys.executable, "-m", "dask", *arguments, "--no-dashboard"]
    environment = SAME_PATHS | variables
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(command, env=environment, **quiet)
    try:
        yield process
    finally:
        process.kill()  # it would wait for who is cut off
        process.wait()


@pytest.mark.skipif(which("openssl") is None, reason="the page makes certificates by openssl")
def test_a_job_runs_on_a_cluster_that_is_encrypted_as_the_page_says(toy_data: Dataset, tmp_path: Path) -> None:
    """The page's own commands make the certificates and the settings."""
    page = (ROOT / "docs" / "cluster.md").read_text(encoding="utf-8").split("\n## Security\n")[1]
    commands = [block.split("```")[0] for block in page.split("```sh\n")[1:]]
    script = "\n".join([*commands, "env -0"])
    made = subprocess.run(
        ["sh", "-ec", script], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True
    )
    variables = dict(each.split("=", 1) for each in made.stdout.decode().split("\0") if each.startswith("DASK_"))
    settings = {each.removeprefix("DASK_").lower().replace("__", "."): text for each, text in variables.items()}
    file = tmp_path / "scheduler.json"
    own = ("--host", "tls://127.0.0.1", "--port", "0", "--scheduler-file", str(file))
    local = ("--scheduler-file", str(file), "--nthreads", "1", "--no-nanny", "--local-directory", str(tmp_path))
    with dask_process("scheduler", *own, variables=variables):
        until(file.exists)
        with dask_process("worker", *local, variables=variables):
            with pytest.raises(UserError, match=r"tls://.*: this machine has no certificates for TLS; docs/cluster.md"):
                Cluster(str(file), False, CONSOLE)
            with dask.config.set(settings):
                with pytest.raises(UserError, match=r"tcp://127.0.0.1:1: Dask is told here to require encryption"):
                    Cluster("tcp://127.0.0.1:1", False, CONSOLE)
                with connected(str(file)) as cluster:
                    assert [member.address[:6] for member in cluster.members] == ["tls://"]
                    run_job(cluster, job(adds, [1, 2], toy_data, tmp_path, asks=True), lambda total: total, never)
                (tmp_path / "mine.pem").write_text("no certificate")
                with pytest.raises(UserError, match=r"this machine's certificates cannot be used: .*; docs/cluster.md"):
                    Cluster(str(file), False, CONSOLE)
    assert (tmp_path / "run" / "sum" / "sum.txt").read_text() == "3"


# of RFC 2544, for tests of networks; another one for each process that tests
SUBNET = f"198.18.{os.getpid() % 250}"


@contextmanager
def hosts(count: int) -> Iterator[list[tuple[str, ...]]]:
    """Computers that only a bridge connects: what comes before a command that runs on each. Skips without the right."""
    name = f"dg{os.getpid() % 10_000}"
    made = [f"{name}h{number}" for number in range(count)]

    def ip(*arguments: str) -> None:
        subprocess.run(["ip", *arguments], check=True, capture_output=True)

    with ExitStack() as stack:
        try:
            ip("link", "add", name, "type", "bridge")
            stack.callback(ip, "link", "delete", name)
            ip("address", "add", f"{SUBNET}.1/24", "dev", name)
            ip("link", "set", name, "up")
            for number, host in enumerate(made):
                ip("netns", "add", host)
                stack.callback(ip, "netns", "delete", host)
                ip("link", "add", f"{host}o", "type", "veth", "peer", "name", f"{host}i", "netns", host)
                ip("link", "set", f"{host}o", "master", name, "up")
                ip("-n", host, "address", "add", f"{SUBNET}.{number + 2}/24", "dev", f"{host}i")
                ip("-n", host, "link", "set", f"{host}i", "up")
                ip("-n", host, "link", "set", "lo", "up")
        except (OSError, subprocess.CalledProcessError) as error:
            pytest.skip(f"this system has no network namespaces for its user: {error}")
        yield [("ip", "netns", "exec", host) for host in made]


def link(host: tuple[str, ...], state: str) -> None:
    """Cut a computer off, or connect it again."""
    subprocess.run(["ip", "link", "set", f"{host[-1]}o", state], check=True)


@pytest.mark.parametrize("long", [False, True])
def test_a_computer_that_is_cut_off_loses_no_fit_and_none_is_made_twice(
    toy_data: Dataset, tmp_path: Path, long: bool
) -> None:
    """Shorter than Dask's timeout its fit goes on, and comes later; after a longer cut another computer has made it."""
    signs, file = tmp_path / "signs", tmp_path / "scheduler.json"
    signs.mkdir()
    variables = {"DASK_DISTRIBUTED__COMM__TIMEOUTS__TCP": "12s" if long else "120s"}
    with ExitStack() as stack:
        made = stack.enter_context(hosts(2))
        own = ("--host", f"{SUBNET}.1", "--port", "0", "--scheduler-file", str(file))
        stack.enter_context(dask_process("scheduler", *own, variables=variables))
        until(file.exists)
        for host in made:
            local = ("--scheduler-file", str(file), "--nthreads", "1", "--no-nanny", "--local-directory", str(tmp_path))
            stack.enter_context(dask_process("worker", *local, before=host, variables=variables))
        cluster = stack.enter_context(connected(str(file)))
        until(lambda: cluster.slots == 2, cluster)
        told: list[str] = []
        runs, threads = two_that_wait(cluster, toy_data, signs, told)
        link(made[0], "down")
        if long:
            until(lambda: cluster.slots == 1)
        write(signs / "go", "")
        until(lambda: any((each / "run" / "unit").exists() for each in runs))  # of the computer that is connected
        link(made[0], "up")
        for thread in threads:
            thread.join(WAIT)
        assert [path.name for each in runs for path in (each / "run").iterdir() if intact(path)] == ["unit", "unit"]
        assert sorted(told) == ["begun", "begun", "waiting", "waiting"], "each message is heard once"
        assert len(begun(signs)) == (3 if long else 2)
        assert cluster.slots == (1 if long else 2)
