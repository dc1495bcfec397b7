"""The documentation holds what it says: links lead somewhere, commands exist, params are valid."""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from digits.cli.catalogue import COMMANDS
from digits.config import load_params
from toys import ROOT

PAGES = [
    *(
        ROOT / name
        for name in (
            *("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md"),
            *("data/README.md", "submissions/README.md"),
        )
    ),
    *sorted((ROOT / "docs").rglob("*.md")),
]
MAKEFILES = [(ROOT / name).read_text() for name in ("Makefile", "tools/checkout.mk")]
TARGETS = {target for text in MAKEFILES for target in re.findall(r"^([a-z-]+):", text, re.MULTILINE)} | {*COMMANDS}
VARIABLES = {*re.findall(r"^([A-Z_]+) =$", MAKEFILES[0], re.MULTILINE)}
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]


def blocks(text: str, *languages: str) -> Iterator[str]:
    """The fenced blocks of a page in one of some languages; "" are those that are indented."""
    for language, block in re.findall(r"^ *```(\S*)\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL):
        if language in languages:
            yield block
    if "" in languages:
        plain = re.sub(r"^ *```.*?^ *```", "", text, flags=re.MULTILINE | re.DOTALL)
        yield from re.findall(r"(?:^    \S.*\n)+", plain, re.MULTILINE)


def commands(text: str) -> Iterator[list[str]]:
    """The words of each make and digits command of a page: in blocks and in code spans."""
    lines = [line for block in blocks(text, "", "console", "sh") for line in block.splitlines()]
    spans = [" ".join(span.split()) for span in re.findall(r"(?<!`)`([^`]+)`(?!`)", text)]
    for line in (*lines, *spans):
        for command in re.split(r" && |\s{2,}#?", line.strip().removeprefix("$ ")):
            if re.match(r"(make|digits) [a-z]", command):
                yield shlex.split(command)


def headings(text: str) -> set[str]:
    """The anchors of a page's headings, as forges make them."""
    plain = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    titles = re.findall(r"^#+ (.*)$", plain, re.MULTILINE)
    return {
        re.sub(r"[^\w\- ]", "", re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", title)).lower().replace(" ", "-")
        for title in titles
    }


@pytest.mark.parametrize("name", NAMES)
def test_links_lead_somewhere(name: str) -> None:
    page = ROOT / name
    prose = re.sub(r"^ *```.*?^ *```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    for path, anchor in re.findall(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)", prose):
        target = page.parent / path if path else page
        assert target.exists(), path
        if anchor:
            assert anchor in headings(target.read_text()), f"{path}#{anchor}"


@pytest.mark.parametrize("name", NAMES)
def test_commands_exist_and_their_params_are_valid(name: str) -> None:
    for program, command, *words in commands((ROOT / name).read_text()):
        if program == "make":
            assert command in TARGETS, command
            given = dict(word.split("=", 1) for word in words if re.match(r"[A-Z_]+=", word))
            assert given.keys() <= {*VARIABLES, "ROUNDS"}, given
            if "SET" in given and "KEY" not in given["SET"]:
                named = ROOT / given.get("PARAMS", "params.yaml")  # a reader's own file extends params.yaml
                load_params(named if named.exists() else ROOT / "params.yaml", shlex.split(given["SET"]))
        elif command != "init":
            known = {flag for option in COMMANDS[command].params for flag in (*option.opts, *option.secondary_opts)}
            assert {word for word in words if word.startswith("--")} <= known, words


@pytest.mark.parametrize("name", NAMES)
def test_params_files_in_the_pages_are_valid(name: str, tmp_path: Path) -> None:
    for block in blocks((ROOT / name).read_text(), "yaml"):
        (tmp_path / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
        (tmp_path / "params.mine.yaml").write_text(block)
        load_params(tmp_path / "params.mine.yaml")


@pytest.mark.parametrize("name", NAMES)
def test_python_in_the_pages_compiles(name: str) -> None:
    for block in blocks((ROOT / name).read_text(), "python"):
        compile(block, name, "exec")


def test_the_reference_is_what_the_program_says() -> None:
    """`make reference` writes it."""
    shown = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "reference.py"), "--check"], capture_output=True, text=True, check=False
    )
    assert shown.returncode == 0, shown.stdout


def test_every_param_and_command_is_in_the_reference() -> None:
    params = (ROOT / "docs" / "reference" / "params.md").read_text()
    for section, model in load_params(ROOT / "params.yaml").model_dump().items():
        assert f"\n## {section}\n" in params
        for key in model:
            assert f"| `{key}" in params, key
    shown = (ROOT / "docs" / "reference" / "commands.md").read_text()
    for name, command in COMMANDS.items():
        assert f"\n## {name}\n" in shown
        for option in command.params:
            assert f"`{option.opts[0]}" in shown


def test_the_readme_is_short_and_has_every_command() -> None:
    text = (ROOT / "README.md").read_text()
    assert len(text.split()) <= 900
    named = {command for program, command, *_ in commands(text) if program == "make"}
    assert {"submit", "baseline", "tune", "report", "test"} <= named


@pytest.mark.slow
def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    """Sphinx warns of each link between pages that leads nowhere, and of each page that no other one lists."""
    options = ["--quiet", "--fail-on-warning", "--keep-going", "-b", "html"]
    built = subprocess.run(
        [sys.executable, "-m", "sphinx", *options, "docs", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    assert (tmp_path / "tutorial.html").exists()
