"""The part of a module's source that can change a result: its code, without module names and text for people."""

import ast
import re
from typing import Any

_PACKAGE = "digits"
_TYPES = frozenset({"__future__", "collections.abc", "numpy.typing", "typing"})  # modules for annotations
# calls that write to the console or the log, and functions whose arguments may be sentences for people
_TALK = re.compile(
    r"((self|context)\._?)*(console\.\w+|bar\.advance|log\.(debug|info|warning|error|exception)|warnings\.warn)"
)
_TAKE_TEXT = frozenset(
    {"add", "advance", "append", "extend", "notify", "print", "report", "say", "set_user_attr", "tell", "warn"}
)
_WORD = re.compile(r"[a-z]{2,}")


def decisive_code(source: str) -> list[Any]:
    """The source of a module as nested lists, which are equal for sources that differ in nothing that changes a result.

    These are left out: comments, layout, docstrings; annotations, except those of a class's fields, which dataclasses
    and pydantic read; imports for types only; messages of `raise` and `assert`, console and log lines, and warnings;
    `__str__` and `__repr__`; names of this package's modules, and dictionaries that contain only such names, as the
    registry of models does. Imports count as a set, wherever they are.

    A sentence is a string with two or more lower-case words. It is left out where a function returns it, assigns it,
    adds it to a list, as faults and notices are, or reports it (_TAKE_TEXT). Every other string counts: names of
    options, kinds, layers and keys, sentences that are compared, searched for or executed, and all constants of a
    module or class. The lists are the same for all versions of Python that parse the source alike.
    """
    reader = _Reader()
    tree = reader.visit(ast.parse(source))
    return [sorted(reader.imports), _plain(tree)]


class _Reader(ast.NodeTransformer):
    """Removes from a syntax tree what cannot change a result, and collects its imports."""

    def __init__(self) -> None:
        self.imports: set[tuple[str, str, str]] = set()  # module, name, name in this module
        self._scopes: list[type[ast.AST]] = [ast.Module]

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self.imports.add((_neutral(alias.name), "", alias.asname or ""))

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        module = node.module or ""
        if module not in _TYPES:
            self.imports |= {(_neutral(module), alias.name, alias.asname or "") for alias in node.names}

    def visit_If(self, node: ast.If) -> Any:
        if ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            kept = ast.Module(node.orelse, [])
            self.generic_visit(kept)
            return kept.body
        return self.generic_visit(node)

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        if isinstance(node.value, ast.Constant) or _talks(node.value):  # a docstring, `...`, a line of the log
            return None
        return self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST | None:
        if node.name in ("__str__", "__repr__"):
            return None
        node.returns = None
        return self._inside(node)

    def visit_arg(self, node: ast.arg) -> ast.arg:
        node.annotation = None
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST | None:
        if self._scopes[-1] is ast.ClassDef:
            return self.generic_visit(node)
        return self.visit(ast.Assign([node.target], node.value)) if node.value else None

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        return self.generic_visit(ast.Raise(node.exc.func if isinstance(node.exc, ast.Call) else node.exc))

    def visit_Assert(self, node: ast.Assert) -> ast.AST:
        return self.generic_visit(ast.Assert(node.test))

    def visit_Call(self, node: ast.Call) -> ast.AST:
        if _talks(node):
            node.args, node.keywords = [], []
        elif ast.unparse(node.func).rpartition(".")[2] in _TAKE_TEXT:
            node.args = [self._without_sentence(argument) for argument in node.args]
        return self.generic_visit(node)

    def visit_Dict(self, node: ast.Dict) -> ast.AST:
        if node.values and all(isinstance(value, ast.Constant) and _is_module(value.value) for value in node.values):
            return ast.Dict([], [])
        return self.generic_visit(node)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
        # Python 3.12 ends some formats with an empty string
        node.values = [part for part in node.values if not (isinstance(part, ast.Constant) and part.value == "")]
        return self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> ast.Constant:
        return ast.Constant(_neutral(node.value))

    def _inside(self, node: ast.AST) -> ast.AST:
        self._scopes.append(type(node))
        self.generic_visit(node)
        self._scopes.pop()
        return node

    visit_ClassDef = visit_Lambda = _inside  # noqa: N815 - the names that ast calls

    def _value(self, node: Any) -> ast.AST:
        node.value = self._without_sentence(node.value)
        return self.generic_visit(node)

    visit_Return = visit_Assign = visit_AugAssign = visit_NamedExpr = _value  # noqa: N815

    def _without_sentence(self, node: Any) -> Any:
        """An expression, with a fixed text in place of each sentence that may be its value or an element of it."""
        if self._scopes[-1] in (ast.Module, ast.ClassDef):
            return node
        match node:
            case ast.Constant(str()) | ast.JoinedStr() if _is_sentence(node):
                return ast.Constant("text")
            case ast.IfExp():
                node.body, node.orelse = map(self._without_sentence, (node.body, node.orelse))
            case ast.BinOp():
                node.left, node.right = map(self._without_sentence, (node.left, node.right))
            case ast.List() | ast.Tuple():
                node.elts = [*map(self._without_sentence, node.elts)]
            case ast.ListComp() | ast.GeneratorExp():
                node.elt = self._without_sentence(node.elt)
        return node


def _talks(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and bool(_TALK.fullmatch(ast.unparse(node.func)))


def _is_sentence(node: ast.Constant | ast.JoinedStr) -> bool:
    parts = node.values if isinstance(node, ast.JoinedStr) else [node]
    text = "".join(str(part.value) if isinstance(part, ast.Constant) else "0" for part in parts)
    return sum(bool(_WORD.fullmatch(word.strip(",.;:?!()"))) for word in text.split()) > 1


def _is_module(value: Any) -> bool:
    return isinstance(value, str) and value.split(".")[0] == _PACKAGE and value != _PACKAGE


def _neutral(value: Any) -> Any:
    """The value, or one fixed text for all names of this package's modules."""
    return f"{_PACKAGE}." if _is_module(value) else value


def _plain(node: Any) -> Any:
    """A syntax tree as nested lists, without empty fields, because later versions of Python add some."""
    if isinstance(node, list):
        return [*map(_plain, node)]
    if not isinstance(node, ast.AST):
        return ascii(node)  # repr shows other characters in later versions of Python
    fields = [
        [name, _plain(value)]
        for name, value in ast.iter_fields(node)
        if name not in ("ctx", "kind", "type_comment") and value is not None and value != []
    ]
    return [type(node).__name__, *fields]
