"""The Makefile is the face: its help is complete, its targets exist, and light ones stay light."""

import os
import re
import runpy
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from digits.cli.catalogue import COMMANDS, GROUPS
from digits.cli.init import init
from toys import ROOT, make

MAKEFILE = (ROOT / "Makefile").read_text()
CHECKOUT = (ROOT / "tools" / "checkout.mk").read_text()
# those of the help; a developer has others, which CONTRIBUTING.md names
TARGETS = set(re.findall(r"^([a-z-]+):.*## ", MAKEFILE + CHECKOUT, re.MULTILINE))
VARIABLES = set(re.findall(r"^([A-Z_]+) =$", MAKEFILE, re.MULTILINE))
SETUP = {"PYTHON", "EXTRAS"}  # of the packages, not of the program
LOCKS = sorted((ROOT / "requirements").glob("*.lock"))


def test_help_is_the_default_and_names_every_target_and_variable() -> None:
    shown = make().stdout
    assert shown == make("help").stdout
    assert set(re.findall(r"^  make ([a-z-]+) ", shown, re.MULTILINE)) == TARGETS
    assert TARGETS | {"study"} >= set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))
    assert re.findall(r"^  ([A-Z_]+)=", shown, re.MULTILINE) == ["DATA", "PARAMS", "SET", "BUDGET"]
    assert len(shown.splitlines()) <= 50
    assert {*re.findall(r"^([A-Z_]+)=", make("variables").stdout, re.MULTILINE)} == VARIABLES
    assert {*re.findall(r"^(\w+)$", shown, re.MULTILINE)} == {
        "Start",
        "Improve",
        "Look",
        "Use",
        "Grow",
        "Develop",
        "Variables",
    }


def typed(*words: str, **environment: str) -> str:
    """The shell commands of a target; environment: variables that are set for everybody."""
    return make("--dry-run", *words, environment=os.environ | environment).stdout


def test_variables_are_taken_from_the_command_line_alone() -> None:
    set_for_everybody = dict.fromkeys(VARIABLES, "nonsense")
    for target in ("submit", "baseline", "recipes", "clean-runs"):
        assert typed(target, **set_for_everybody) == typed(target)


# since make 3.82 or later; macOS has 3.81
LATER = {
    "a modifier on a variable of a target": r"^[^#\t\n=]*:(?!=)[^=\n]*\b(export|override|private)\b",
    "two target patterns": r"^[^#\t\n=:]*%[^#\n=:]*:[^=\n:]*%[^=\n:]*:(?!=)",
    "an assignment by a shell": r"^\s*[A-Za-z_]+\s*!=",
    "POSIX's immediate assignment": r"::+=",
    "a function or directive of later versions": r"\$\((file|guile|let|intcmp) |^\.ONESHELL|^\.EXTRA_PREREQS|^undefine",
}


@pytest.mark.parametrize("kind", LATER)
def test_the_make_of_macos_understands_the_makefile(kind: str) -> None:
    for text in (MAKEFILE, CHECKOUT):
        assert re.search(LATER[kind], text, re.MULTILINE) is None, kind
    assert re.search(LATER["a modifier on a variable of a target"], "submit tune: export DATA := x", re.MULTILINE)
    assert re.search(LATER["two target patterns"], "%.a %.b: %.c: d", re.MULTILINE)


# what GNU's tools and bash have beyond POSIX, with an example of each; those of macOS may not have it
GNU_ONLY = {
    "escapes and in-place edits of sed": (r"\bsed\b.*(\\[tn+?|]| -\w*[ir])", r"sed 's/a/\t/'"),
    "long options": (
        r"\b(cp|cut|date|du|find|grep|head|ls|mkdir|mktemp|mv|rm|sort|tail|xargs)\b[^|;&\n]* --\w",
        "cp --a b",
    ),
    "options": (
        r"\b(readlink -\w*[efm]|date -[dI]|stat -c|grep -\w*P|sort -\w*V|xargs -\w*[dr]|cp -\w*t|mktemp -p|head -n -)",
        "readlink -f x",
    ),
    "tests and actions of find": (r"\bfind\b.* -(printf|regextype|executable|empty|quit)\b", "find . -printf %p"),
    "programs": (r"(^|[\s(;|@])(realpath|nproc|tac|timeout|setsid|shuf|numfmt|flock|free|\w+sum|gawk) ", "$(nproc )"),
    "words of bash": (r"\[\[ |<\(|\$'|&>|\becho -[en]|^\s*source |^function |<<<", "[[ a = b ]]"),
}


@pytest.mark.parametrize("kind", GNU_ONLY)
def test_the_shell_and_tools_of_macos_understand_what_make_runs(kind: str) -> None:
    pattern, example = GNU_ONLY[kind]
    assert re.search(pattern, example)
    for text in (MAKEFILE, CHECKOUT, *(path.read_text() for path in (ROOT / "tools").glob("*.sh"))):
        code = re.sub(r"(^|\s)#.*", "", text, flags=re.MULTILINE)
        assert re.search(pattern, code, re.MULTILINE) is None, kind


def test_every_command_is_a_target_with_the_same_words_in_the_same_group() -> None:
    shown = make().stdout
    for title, group in GROUPS.items():
        [lines] = re.findall(rf"^{title}\n((?:  .*\n)+)", shown, re.MULTILINE)
        targets = dict(re.findall(r"^  make ([a-z-]+) +(.*)$", lines, re.MULTILINE))
        assert {command.name: command.short_help for command in group}.items() <= targets.items()
        others = {"help", "variables", "setup", "clean", "init", "cluster"}
        assert targets.keys() - {command.name for command in group} <= others
    assert re.search(rf"^  make init +{init.short_help}$", shown, re.MULTILINE)
    for target in TARGETS:
        ran = re.findall(r"-m digits ([a-z-]+)", typed(target))
        assert ran == ([target] if target in (*COMMANDS, "init") else {"bench": ["data"]}.get(target, []))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_variable_is_an_option_of_the_commands_that_understand_it(name: str) -> None:
    """SET is --sets, STORAGE no argument. The options that take no value are given by 1."""
    [line] = [
        line for line in typed(name, *(f"{each}=1" for each in VARIABLES - SETUP)).splitlines() if "-m digits" in line
    ]
    options = {option for parameter in COMMANDS[name].params for option in parameter.opts} - {"--set", "--storage"}
    assert set(re.findall(r" (--[a-z-]+)", line)) == options
    assert "--" not in typed(name, *(f"{each}=" for each in VARIABLES)).splitlines()[-1]


def test_what_has_another_name_now_is_said() -> None:
    refused = make("study", check=False)
    assert refused.returncode == 2
    assert refused.stderr.startswith("error: make study is called make recipes now\n")


def test_help_needs_no_python(tmp_path: Path) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    tools = tmp_path / "bin"
    tools.mkdir()
    link(tools, "make", "sh", "sed", "awk", "printf")
    shown = make(cwd=tmp_path, environment={"PATH": str(tools)}, check=False)
    assert shown.returncode == 0, shown.stderr
    assert "make submit" in shown.stdout


def link(folder: Path, *tools: str) -> None:
    """Let a folder of programs have these, where this machine has them."""
    for tool in tools:
        if found := shutil.which(tool):
            (folder / tool).symlink_to(found)


def installer(folder: Path, python: str = sys.executable) -> tuple[Path, dict[str, str]]:
    """A copy of what sets up a checkout, with small locks, and an environment in which pip only says what it is asked.

    The pip is that of a Python which `python -m venv` has made in truth.
    """
    (folder / "tools").mkdir(parents=True)
    (folder / "requirements").mkdir()
    for name in ("Makefile", "tools/setup.sh", "tools/supported.py", "tools/checkout.mk"):
        shutil.copy(ROOT / name, folder / name)
    for lock in LOCKS:
        tensorflow = "tensorflow==1\n" if "tensorflow" in pins(lock.stem) else ""
        (folder / "requirements" / lock.name).write_text(f"{lock.stem}==1\n{tensorflow}")
    tools = folder / "bin"
    tools.mkdir()
    (tools / "uv").write_text(
        '#!/bin/sh\ncase "$1" in venv) shift; for last; do :; done; '
        f'"{python}" -m venv --without-pip "$last" ;; *) echo "uv $*" ;; esac\n'
    )
    (tools / "uv").chmod(0o755)
    return folder, {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}"}


def installed(output: str) -> list[str]:
    return re.findall(r"-r requirements/(\w+).lock", output)


def test_each_command_installs_what_it_needs_and_does_so_once(tmp_path: Path) -> None:
    folder, environment = installer(tmp_path / "a folder")

    def packages(*words: str) -> list[str]:
        return installed(make(*words, cwd=folder, environment=environment, check=False).stdout)

    assert packages("baseline") == ["base"]
    assert packages("baseline") == packages("report") == packages("runs") == []
    assert packages("submit") == ["keras"]
    assert packages("submit", "baseline") == packages("train") == packages("setup") == []
    assert packages("tune", "STORAGE=postgresql://x") == ["database"]
    assert packages("tune", "STORAGE=postgresql://x") == []
    assert packages("tune-dashboard") == ["dashboard"]
    assert packages("setup", "EXTRAS=gpu") == ["gpu"]
    assert packages("lint") == ["dev"]
    assert packages("submit", "tune", "report", "test") == []
    (folder / "requirements" / "keras.lock").write_text("keras==2\n")
    assert packages("submit") == ["keras"], "another version is wanted, so all is made anew"
    assert packages("report") == []
    assert packages("setup", "EXTRAS=gpu") == ["gpu"]


def test_a_new_environment_has_all_in_one_step(tmp_path: Path) -> None:
    """A lock contains what it extends, so nothing is installed twice."""
    folder, environment = installer(tmp_path / "new")
    made = make("lint", cwd=folder, environment=environment, check=False)
    assert installed(made.stdout) == ["dev"]
    assert {path.stem for path in (folder / ".venv" / "locks").iterdir()} == {
        "base",
        "keras",
        "export",
        "database",
        "cluster",
        "dev",
    }
    for name, parts in (
        ("keras", ["base"]),
        ("gpu", ["keras"]),
        ("export", ["keras"]),
        ("dev", ["export", "database"]),
        ("database", ["base"]),
    ):
        for part in parts:
            assert pins(part) <= pins(name), (name, part)


def pins(name: str) -> set[str]:
    return set(re.findall(r"^([\w.-]+)==", (ROOT / "requirements" / f"{name}.lock").read_text(), re.MULTILINE))


def test_only_what_fits_networks_needs_tensorflow() -> None:
    assert not {"tensorflow", "keras", "psycopg", "pytest", "sphinx"} & pins("base")
    assert {"tensorflow", "keras"} <= pins("keras")
    assert "psycopg" in pins("database")
    assert "onnx" in pins("export") - pins("keras")


def test_a_killed_setup_is_not_taken_for_done(tmp_path: Path) -> None:
    """Packages whose installation did not end are installed again."""
    folder, environment = installer(tmp_path / "killed")
    uv = folder / "bin" / "uv"
    whole = uv.read_text()
    uv.write_text(whole.replace('echo "uv $*"', "exit 1"))
    assert make("setup", cwd=folder, environment=environment, check=False).returncode != 0
    uv.write_text(whole)
    assert installed(make("setup", cwd=folder, environment=environment).stdout) == ["keras"]
    assert make("setup", cwd=folder, environment=environment).stdout == ""


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("PYTHON=no-such-python", "error: no Python 3.11 to 3.13 found"),
        ("EXTRAS=gpus", "error: EXTRAS: there is no gpus; there are gpu, database, dashboard, cluster and export"),
    ],
)
def test_what_cannot_be_set_up_is_explained(words: str, expected: str, tmp_path: Path) -> None:
    folder, environment = installer(tmp_path / "wrong")
    refused = make("setup", words, cwd=folder, environment=environment, check=False)
    assert refused.returncode == 2
    assert refused.stderr.startswith(expected)


def test_windows_is_told_of_wsl(tmp_path: Path) -> None:
    refused = make(environment=os.environ | {"OS": "Windows_NT"}, check=False)
    assert refused.returncode == 2
    assert re.fullmatch(r"Makefile:\d+: \*\*\* Windows needs WSL2: type wsl --install .*\n", refused.stderr)


OBSTACLE = runpy.run_path(str(ROOT / "tools" / "supported.py"))["obstacle"]
GLIBC, AVX = (2, 28), {"fpu", "avx"}


@pytest.mark.parametrize(
    ("machine", "of_all", "of_tensorflow"),
    [
        (("linux", "x86_64", 64, GLIBC, AVX), None, None),
        (("linux", "x86_64", 64, GLIBC, set()), None, None),
        (("linux", "aarch64", 64, (2, 36), {"fp"}), None, None),
        (("darwin", "arm64", 64, (), set()), None, None),
        (("darwin", "x86_64", 64, (), set()), None, "no package for Macs with Intel processors"),
        (("linux", "x86_64", 64, (), AVX), *["no package for musl"] * 2),
        (("linux", "riscv64", 64, GLIBC, set()), *["no packages for riscv64 processors"] * 2),
        (("linux", "x86_64", 64, GLIBC, {"fpu", "sse4_2"}), None, "TensorFlow needs AVX"),
        (("linux", "x86_64", 32, GLIBC, AVX), *["this Python has 32 bits"] * 2),
        (("linux", "x86_64", 64, (2, 17), AVX), *["glibc is 2.17, the packages need 2.28"] * 2),
        (("win32", "AMD64", 64, (), set()), *["use Linux, macOS or WSL2"] * 2),
        (("freebsd14", "amd64", 64, (), set()), *["no packages for freebsd14"] * 2),
    ],
)
def test_what_a_machine_cannot_have_is_known(machine: tuple[Any, ...], of_all: str, of_tensorflow: str) -> None:
    for tensorflow, expected in ((False, of_all), (True, of_tensorflow)):
        found = OBSTACLE(tensorflow, *machine)
        assert expected in found if expected else found is None
        assert found is None or "\n" not in found
    if of_tensorflow and not of_all:
        assert OBSTACLE(True, *machine).endswith("; make baseline works without TensorFlow")


def python_that(folder: Path, case: str) -> str:
    """A Python with a branch of its own for some arguments."""
    path = folder / "bin" / "a-python"
    path.write_text(f'#!/bin/sh\ncase "$*" in {case} esac\nexec "{sys.executable}" "$@"\n')
    path.chmod(0o755)
    return f"PYTHON={path}"


@pytest.mark.parametrize(
    ("machine", "expected"),
    [
        (
            "sys.platform = 'darwin'; platform.machine = lambda: 'x86_64'",
            "TensorFlow has no package for Macs with Intel",
        ),
        ("os.confstr = lambda name: None", "scikit-learn has no package for musl"),
        ("os.confstr = int", "scikit-learn has no package for musl"),
        ("Path.read_text = lambda path: 'fpu' if 'proc' in str(path) else read(path)", "TensorFlow needs AVX"),
    ],
)
def test_before_an_installation_the_machine_is_looked_at(machine: str, expected: str, tmp_path: Path) -> None:
    """By a Python that takes this machine for another one; what needs no TensorFlow is installed there."""
    folder, environment = installer(tmp_path / "another")
    (folder / "other.py").write_text(
        "import os, platform, runpy, sys\nfrom pathlib import Path\nread = Path.read_text\n"
        "sys.platform, platform.machine, os.confstr = 'linux', lambda: 'x86_64', lambda name: 'glibc 2.36'\n"
        f"{machine}\nsys.argv = sys.argv[1:]\nrunpy.run_path(sys.argv[0], run_name='__main__')\n"
    )
    python = python_that(folder, f'tools/supported.py*) exec "{sys.executable}" other.py "$@" ;;')

    def made(*words: str) -> subprocess.CompletedProcess[str]:
        return make(*words, python, cwd=folder, environment=environment, check=False)

    refused = made("submit")
    assert refused.returncode == 2
    assert refused.stderr.startswith(f"error: {expected}")
    assert [line.partition(":")[0] for line in refused.stderr.splitlines()] == ["error", "make"]
    assert installed(refused.stdout) == []
    assert installed(made("baseline").stdout) == (["base"] if expected.startswith("TensorFlow") else [])


@pytest.mark.parametrize("uv", [True, False])
def test_where_no_python_fits_uv_brings_one(uv: bool, tmp_path: Path) -> None:
    folder, environment = installer(tmp_path / "later")
    link(folder / "bin", "make", "sh", "cmp", "cp", "mv", "mkdir", "rm")
    (folder / "bin" / "python3").write_text("#!/bin/sh\necho 3.14\n")
    (folder / "bin" / "python3").chmod(0o755)
    program = folder / "bin" / "uv"
    brings = f'case "$1 $2" in "python install") exit ;; "python find") echo "{sys.executable}"; exit ;; esac'
    program.write_text(program.read_text().replace("\n", f"\n{brings}\n", 1))
    if not uv:
        program.unlink()
    made = make("baseline", cwd=folder, environment=environment | {"PATH": str(folder / "bin")}, check=False)
    assert installed(made.stdout) == (["base"] if uv else [])
    refused = "error: no Python 3.11 to 3.13 found (TensorFlow supports no other); python3 is 3.14; install one"
    assert made.stderr.startswith(refused) is not uv


@pytest.mark.parametrize("pip", [True, False])
def test_a_python_without_ensurepip_gets_its_environment_from_pip(pip: bool, tmp_path: Path) -> None:
    """As Debian's without python3-venv, and Colab's; there is no uv. This pip only notes what it is asked."""
    folder, environment = installer(tmp_path / "bare")
    (folder / "bin" / "uv").unlink()
    link(folder / "bin", "make", "sh", "cmp", "cp", "mv", "mkdir", "rm")
    python = python_that(
        folder,
        f"""*base_executable*) echo "$0"; exit ;; *import?ensurepip*) exit 1 ;; *pip?--version) exit {int(not pip)} ;;
        *pip?install*--target*)
            shift 6; mkdir "$1/pip"; echo 'import sys; print(*sys.argv)' >"$1/pip/__main__.py"; exit ;;
        *venv?--without-pip*) ;; *-m?venv*) exit 1 ;;""",
    )
    made = make("setup", python, cwd=folder, environment=environment | {"PATH": str(folder / "bin")}, check=False)
    assert installed(made.stdout) == (["keras"] if pip else [])
    assert made.returncode == (0 if pip else 2)
    if not pip:
        assert re.match(r"error: \S+ has no ensurepip and no pip, .* sudo apt install python3\.\d+-venv,", made.stderr)


def test_values_with_spaces_and_quotes_reach_the_program(tmp_path: Path) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "digits").write_text('#!/bin/sh\nfor word in "$@"; do echo "<$word>"; done\n')
    (tmp_path / "digits").chmod(0o755)
    values = ["SET=train.epochs=3 train.layers='8C3 MP2'", 'DATA=it\'s "my" data.zip']
    shown = make("train", *values, "DIGITS=./digits", cwd=tmp_path).stdout.splitlines()
    assert shown[shown.index("<--sets>") + 1] == f"<{values[0].removeprefix('SET=')}>"
    assert shown[shown.index("<--data>") + 1] == f"<{values[1].removeprefix('DATA=')}>"
    assert shown[0] == "<train>"


@pytest.mark.parametrize("target", ["tune", "tune-dashboard"])
def test_the_password_of_a_database_is_no_argument(target: str, tmp_path: Path) -> None:
    """Everybody on a machine can read the arguments of its processes."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "digits").write_text('#!/bin/sh\necho "$@"; echo "$DIGITS_STORAGE" > asked\n')
    (tmp_path / "digits").chmod(0o755)
    url = "postgresql://me:a$$canary@host/name"
    shown = make(target, f"STORAGE={url}", "DIGITS=./digits", cwd=tmp_path)
    assert "canary" not in shown.stdout + shown.stderr
    assert (tmp_path / "asked").read_text() == url.replace("$$", "$") + "\n"
    values = {"DIGITS_STORAGE": "postgresql://me:a:# b@host/name"}
    script = "import sys; from digits.cli.options import STORAGE, parse; import click; "
    script += "print(parse(click.Command('x', params=[STORAGE], callback=lambda **found: found), []))"
    read = subprocess.run(
        [sys.executable, "-c", script], env=os.environ | values, capture_output=True, text=True, check=True
    )
    assert values["DIGITS_STORAGE"] in read.stdout


@pytest.mark.parametrize("word", ["0", "no", "off", "false", "No"])
def test_no_means_no(word: str) -> None:
    """A file that is sent cannot be taken back."""
    assert "--no-upload" in typed("submit", f"UPLOAD={word}")
    assert "--upload" in typed("submit", "UPLOAD=1")
    assert "upload" not in typed("submit") + typed("submit", "UPLOAD=")
    assert "--force" not in typed("submit", f"FORCE={word}")
    assert "--force" in typed("submit", "FORCE=1")


def test_the_program_is_that_of_this_folder(tmp_path: Path) -> None:
    """Not of the one that it was copied from, whose packages it has."""
    for name in ("Makefile", "tools", "requirements"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / name)
    (tmp_path / ".venv").symlink_to(ROOT / ".venv")
    (tmp_path / "src" / "digits").mkdir(parents=True)
    (tmp_path / "src" / "digits" / "__main__.py").write_text("print('the copy')")
    (tmp_path / "src" / "digits" / "__init__.py").touch()
    assert make("score", cwd=tmp_path).stdout == "the copy\n"


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.stem)
def test_a_lock_has_no_addresses_and_a_hash_for_everything(lock: Path) -> None:
    text = lock.read_text()
    assert "://" not in text
    assert all("--hash=sha256:" in block for block in re.split(r"^(?=\S+==)", text, flags=re.MULTILINE)[1:])


def test_environment_is_the_locked_one() -> None:
    """What runs the tests is what the lock says, so figures can be compared."""
    text = (ROOT / "requirements" / "dev.lock").read_text()
    lock = dict(re.findall(r"^([a-z0-9-]+)==([^ \\]+) \\", text, re.MULTILINE))
    for name in ("keras", "tensorflow", "scikit-learn", "optuna", "kaggle"):
        assert version(name) == lock[name]


def test_a_signal_to_make_reaches_the_program(tmp_path: Path) -> None:
    """A shell between them would end, and the program would go on without anybody who waits for it."""
    script = tmp_path / "digits"
    script.write_text("trap 'echo told; exit 143' TERM\necho ready\nwhile :; do sleep 0.1; done\n")
    outside = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    words = ["make", f"DIGITS=sh {script}", "SETUP=@:", "runs", "DATA=a b"]
    process = subprocess.Popen(words, cwd=ROOT, env=outside, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    process.terminate()
    try:
        assert process.communicate(timeout=20)[0] == "told\n"
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
