"""Log files take what the package says, and never end a fit."""

from pathlib import Path

import pytest

from digits.common.logs import log, log_to


def test_messages_are_appended(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for number in (1, 2):
        with caplog.at_level("INFO", "digits"), log_to(tmp_path / "deep" / "log.txt"):
            log.info("epoch %d", number)
    log.warning("outside")
    assert [line[-7:] for line in (tmp_path / "deep" / "log.txt").read_text().splitlines()] == ["epoch 1", "epoch 2"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device that is always full is Linux'")
def test_a_full_disk_takes_no_message_and_does_no_harm(capsys: pytest.CaptureFixture[str]) -> None:
    with log_to(Path("/dev/full")):
        log.warning("epoch 1")
    assert capsys.readouterr().err == ""
