"""Pictures are drawn so that all readers tell curves apart, and are shown of what they were drawn of alone."""

from pathlib import Path

from matplotlib import pyplot as plt

from digits.common.plots import drawing, read_pictures, write_pictures


def test_twelve_curves_look_different() -> None:
    with drawing():
        _, axes = plt.subplots()
        lines = [axes.plot([0, 1], [number, number])[0] for number in range(12)]
        assert len({(line.get_color(), line.get_linestyle()) for line in lines}) == 12
    assert plt.get_fignums() == []


def _line() -> str:
    plt.subplots()[1].plot([0, 1])
    return "It rises"


def test_pictures_are_of_one_thing_and_replace_those_before(tmp_path: Path) -> None:
    assert read_pictures(tmp_path, "a") == {}
    written = write_pictures(tmp_path, "a", {"line": _line, "more": _line, "nothing": lambda: None})
    assert [*written] == ["line", "more"] and read_pictures(tmp_path, "a") == written
    assert written["line"].title == "It rises" and written["line"].path.read_bytes()[:4] == b"\x89PNG"
    write_pictures(tmp_path, "b", {"line": _line})
    assert read_pictures(tmp_path, "a") == {}
    assert [*read_pictures(tmp_path, "b")] == ["line"] == [path.stem for path in tmp_path.glob("*.png")]
