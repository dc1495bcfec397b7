"""What of a module can change a number, and what cannot."""

import ast
import os
import subprocess
import sys
from pathlib import Path
from shutil import which
from typing import Any

import pytest

from digits.common.files import fingerprint
from digits.common.syntax import decisive_code
from imports import SOURCE

SAME = {
    "layout and comments": ("x = [1, 2]", "# why\nx = [\n    1,\n    2,  # images\n]"),
    "a docstring": ('def f(x):\n    """Add."""\n    return x', 'def f(x):\n    """Sum."""\n    return x'),
    "no docstring": ("class A:\n    x = 1", 'class A:\n    """An example."""\n\n    x = 1'),
    "a message of an exception": ('raise ValueError(f"no {x}")', 'raise ValueError("none of " + y) from error'),
    "a message of an assertion": ("assert x", 'assert x, "there is none"'),
    "a line of the log": ('log.info("fitted %s", x)', 'log.info("done: %s in %s", x, y)'),
    "a further line of the log": ("f()", 'log.info("done")\nf()'),
    "a line of the console": ('self.console.say("done")', 'self.console.say("that was it")'),
    "a bar": (
        'with console.bar("fit", 3, "fits") as bar:\n    f()',
        'with console.bar("fits", 2, "") as bar:\n    f()',
    ),
    "a warning": ('warnings.warn("old", stacklevel=2)', 'warnings.warn("old-fashioned")'),
    "a fault in a list": (
        'def f():\n    faults.append(f"there is no column {x}")',
        'def f():\n    faults.append(f"column {x} is missing in {file}")',
    ),
    "faults in a list": (
        'def f():\n    faults += [f"{n} times the column {x}" for x in xs]',
        'def f():\n    faults += [f"the column {x} stands {n} times" for x in xs]',
    ),
    "a line of progress": (
        'def f():\n    advance(f"best of all {x:.4f}")',
        'def f():\n    advance(f"the best has {x:.4f}")',
    ),
    "a sentence that is returned": (
        'def f():\n    return "the cell is blank" if x else ""',
        'def f():\n    return "nothing stands here" if x else ""',
    ),
    "a sentence in a variable": (
        'def f():\n    if bad and (hint := "is it a web page?"):\n        pass',
        'def f():\n    if bad and (hint := "a web page was saved"):\n        pass',
    ),
    "what an object looks like": (
        "class A:\n    def __str__(self):\n        return f'{self.x:.4f}'",
        "class A:\n    def __str__(self):\n        return f'about {self.x:.2f}'",
    ),
    "annotations": ("def f(x):\n    y = g(x)\n    return y", "def f(x: int) -> int:\n    y: int = g(x)\n    return y"),
    "an annotation alone": ("def f():\n    x = 1", "def f():\n    x: int\n    x = 1"),
    "imports for types": (
        "x = 1",
        "from __future__ import annotations\nfrom typing import TYPE_CHECKING\nfrom numpy.typing import NDArray\n"
        "if TYPE_CHECKING:\n    from matplotlib.figure import Figure\nx = 1",
    ),
    "what is not for types": ("if TYPE_CHECKING:\n    x = 1\nelse:\n    x = 2", "x = 2"),
    "a module of the package": ("from digits.data import folds", "from digits.training import folds"),
    "where an import stands": (
        "import numpy\nfrom digits.a import f\ndef g():\n    return f(numpy)",
        "from digits.z import f\ndef g():\n    import numpy\n    return f(numpy)",
    ),
    "a module named in a string": ('run("digits.models.cnn.probe")', 'run("digits.training.probing")'),
    "a registry of modules": ('FAMILIES = {"svm": "digits.svm"}', 'FAMILIES = {"svm": "digits.a", "knn": "digits.b"}'),
}

DIFFERENT = {
    "a number": ("_SMOOTHNESS = 4.0", "_SMOOTHNESS = 4.5"),
    "a type of number": ("x = 1", "x = 1.0"),
    "true and one": ("x = True", "x = 1"),
    "an option": ('f(x, mode="constant")', 'f(x, mode="reflect")'),
    "a kind": ('if kind == "cosine":\n    f()', 'if kind == "one-cycle":\n    f()'),
    "a normalisation": ('kind in ("/255", "/256")', 'kind in ("/255", "/257")'),
    "layers": ('def f():\n    x = "32C3 BN MP2 D0.3 128"', 'def f():\n    x = "32C5 BN MP2 D0.3 128"'),
    "layers that are put together": ('def f():\n    return f"{n}C{k}"', 'def f():\n    return f"{n}C{k}s2"'),
    "what is put together": ('def f():\n    x = f"{name} {shape}"', 'def f():\n    x = f"{shape} {name}"'),
    "a word": ('def f():\n    return "accuracy"', 'def f():\n    return "loss"'),
    "bytes": ('x = b","', 'x = b";"'),
    "a pattern of a module": ('_NAME = compile("model name")', '_NAME = compile("vendor name")'),
    "a sentence of a module": ('_START = "the first start"', '_START = "the second start"'),
    "a sentence of a class": ('class A:\n    x = "the first start"', 'class A:\n    x = "the second start"'),
    "a sentence as a key": ('def f():\n    return {"mean of logits": g}', 'def f():\n    return {"mean of all": g}'),
    "a sentence that is compared": ('def f():\n    x = y == "mean of logits"', 'def f():\n    x = y == "mean of all"'),
    "a sentence that is looked for": ('def f():\n    x = g("model name")', 'def f():\n    x = g("vendor name")'),
    "whether there is a fault": ('def f():\n    return "a fault here"', 'def f():\n    return ""'),
    "the type of an exception": ('raise ValueError("no")', 'raise KeyError("no")'),
    "an assertion": ("assert x > 0", "assert x >= 0"),
    "what is printed as a result": ("print(dumps(f(1)))", "print(dumps(f(2)))"),
    "a step that is reported": ('trial.report(value, "step")', 'trial.report(value, "unit")'),
    "a name from another library": ("from numpy import linalg", "from scipy import linalg"),
    "another name from a module": ("from digits.a import f", "from digits.a import g"),
    "a module under another name": ("import numpy as np", "import scipy as np"),
    "a field's type": ("class A:\n    x: int = 1", "class A:\n    x: ClassVar[int] = 1"),
    "a field": ("class A:\n    x: int", "class A:\n    y: int"),
    "a default": ("def f(x=1):\n    g(x)", "def f(x=2):\n    g(x)"),
    "a decorator": ("def f():\n    g()", "@cache\ndef f():\n    g()"),
    "an order": ("f()\ng()", "g()\nf()"),
    "a sign": ("x = a - b", "x = a + b"),
    "no value": ("x = None", "x = ''"),
}


@pytest.mark.parametrize(("one", "other"), SAME.values(), ids=SAME)
def test_what_cannot_change_a_number(one: str, other: str) -> None:
    assert decisive_code(one) == decisive_code(other)


@pytest.mark.parametrize(("one", "other"), DIFFERENT.values(), ids=DIFFERENT)
def test_what_can_change_a_number(one: str, other: str) -> None:
    assert decisive_code(one) != decisive_code(other)


# What versions of Python parse differently, or have added fields for.
OF_ALL_KINDS = """
from numpy import linalg as la
x = u"text", b"bytes", 1j, -2, 1e-3, ..., "\\u2026 \\U0001fae8", f"", (yield_ := 1)
y = f"{x!r:>{width}}" f"{x:{width}.{digits}f}b{{c}}" "d" f"{x=}"
@cache
def f(a, /, b=1, *c, d=None, **e) -> int:
    global z
    with g(a) as h, g(b):
        return [i async for i in h if i] and {**e, "k": lambda j=1: not j}
class A(B, metaclass=C):
    n: int
    async def m(self):
        try:
            await self.n[1:2, ::3]
        except* (ValueError, KeyError) as error:
            raise
        finally:
            del z
match x:
    case {"a": [1, *rest], **others} | A(n=2) if rest:
        x @= 1 if y else 2
    case _:
        pass
"""


def test_a_stored_source_has_its_stored_hash() -> None:
    """With every version of Python. Another hash means that all results are computed anew: say so in CHANGELOG.md."""
    assert fingerprint(decisive_code(OF_ALL_KINDS)) == "554ec9532226"


def test_what_other_versions_of_python_add_to_the_tree_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    parse, changed = ast.parse, list[ast.AST]()

    def parse_as_others(source: str) -> Any:
        tree = parse(source)
        for node in ast.walk(tree):
            if isinstance(node, ast.JoinedStr):
                node.values.append(ast.Constant(""))
            if isinstance(node, ast.Constant):
                node.kind = "t"
            if hasattr(node, "decorator_list"):
                fields = (*dict.fromkeys((*node._fields, "type_params", "later")),)
                node.__dict__.update(_fields=fields, type_params=[], later=None)
                changed.append(node)
        return tree

    before = decisive_code(OF_ALL_KINDS)
    with monkeypatch.context() as patch:  # pytest parses what fails
        patch.setattr(ast, "parse", parse_as_others)
        after = decisive_code(OF_ALL_KINDS)
    assert after == before
    assert len(changed) == 3


def other_pythons() -> list[str]:
    """Interpreters of other supported versions on this computer."""
    named = [which(f"python3.{minor}") for minor in range(11, 16)]
    installed = sorted(Path.home().glob(".pyenv/versions/3.1[1-9].*/bin/python"))
    return [*map(str, installed), *filter(None, named)]


@pytest.mark.slow
def test_other_versions_of_python_read_the_package_alike() -> None:
    code = (
        "import sys, hashlib, pathlib\n"
        "from digits.common.syntax import decisive_code\n"
        "for path in sorted(pathlib.Path(sys.argv[1]).rglob('*.py')):\n"
        "    code = repr(decisive_code(path.read_text(encoding='utf-8')))\n"
        "    print(path, hashlib.sha256(code.encode()).hexdigest())\n"
        "print(sys.version_info[:2], file=sys.stderr)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(SOURCE.parent), "PYTHONDONTWRITEBYTECODE": "1"}
    found: dict[str, str] = {}
    for python in (sys.executable, *other_pythons()):
        shown = subprocess.run(
            [python, "-c", code, str(SOURCE)], env=environment, capture_output=True, text=True, check=False
        )
        if shown.returncode == 0:
            found.setdefault(shown.stderr.strip(), shown.stdout)
    if len(found) == 1:
        pytest.skip("no other version of Python is installed here")
    assert len(set(found.values())) == 1
