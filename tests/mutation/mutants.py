"""
Find every small change of the code that its tests should notice, in the syntax tree.

Only code inside functions is changed. Docstrings, annotations, the text of formatted strings and tables at module level
are not.
"""

import ast
import copy
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

COMPARED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
COMPUTED: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.BitXor: ast.BitOr,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Mutant:
    """
    One change.

    Args:
        path: of the module, from the root of the repository.
        function: the outermost function that contains it, with its class.
        number: the index of the change among those of its module.
        lines: those of the function.
        what: the change in words.
    """

    path: str
    function: str
    number: int
    line: int
    lines: range
    what: str

    @property
    def module(self) -> str:
        """Return the module's dotted name."""
        return self.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def mutants_of(root: Path, path: str) -> list[Mutant]:
    """Return every change of one module."""
    tree = ast.parse((root / path).read_text(encoding="utf-8"))
    found = []
    spans = _spans(tree)
    for number, (function, node, what) in enumerate(_changes(tree)):
        line = node.target.lineno if isinstance(node, ast.comprehension) else getattr(node, "lineno", 0)
        found.append(Mutant(path=path, function=function, number=number, line=line, lines=spans[function], what=what))
    return found


def mutated(root: Path, mutant: Mutant) -> ast.Module:
    """Return the module's tree with the change."""
    tree = ast.parse((root / mutant.path).read_text(encoding="utf-8"))
    for number, (_, node, what) in enumerate(_changes(tree)):
        if number == mutant.number:
            _apply(node, what)
            return ast.fix_missing_locations(tree)
    raise LookupError(mutant)


def _spans(tree: ast.Module) -> dict[str, range]:
    found = {}
    for node in tree.body:
        inner = node.body if isinstance(node, ast.ClassDef) else [node]
        prefix = f"{node.name}." if isinstance(node, ast.ClassDef) else ""
        for part in inner:
            if isinstance(part, ast.FunctionDef):
                found[prefix + part.name] = range(part.body[0].lineno, (part.end_lineno or 0) + 1)
    return found


def _changes(tree: ast.Module) -> Iterator[tuple[str, ast.AST, str]]:
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            yield from _inside(node, node.name)
        elif isinstance(node, ast.ClassDef):
            for part in node.body:
                if isinstance(part, ast.FunctionDef):
                    yield from _inside(part, f"{node.name}.{part.name}")


def _inside(function: ast.FunctionDef, name: str) -> Iterator[tuple[str, ast.AST, str]]:
    for statement in function.body:
        if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
            continue  # a docstring
        for node in _walk(statement):
            for what in _ways(node):
                yield name, node, what


def _walk(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the node and its children, without annotations and the text of formatted strings."""
    yield node
    for field, value in ast.iter_fields(node):
        if field in {"annotation", "returns", "format_spec"}:
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST) and not (isinstance(node, ast.JoinedStr) and isinstance(child, ast.Constant)):
                yield from _walk(child)


def _ways(node: ast.AST) -> Iterator[str]:  # noqa: C901, PLR0912  one branch for each sort of node
    match node:
        case ast.Compare(ops=[op]) if type(op) in COMPARED:
            yield f"{type(op).__name__} -> {COMPARED[type(op)].__name__}"
        case ast.BoolOp(op=ast.And()):
            yield "and -> or"
        case ast.BoolOp(op=ast.Or()):
            yield "or -> and"
        case ast.UnaryOp(op=ast.Not()):
            yield "not x -> x"
        case ast.UnaryOp(op=ast.Invert() | ast.USub()):
            yield "unary sign dropped"
        case ast.BinOp(op=op) | ast.AugAssign(op=op) if type(op) in COMPUTED:
            yield f"{type(op).__name__} -> {COMPUTED[type(op)].__name__}"
        case ast.Constant(value=bool(value)):
            yield f"{value} -> {not value}"
        case ast.Constant(value=int(value)):
            yield f"{value} -> {value + 1}"
        case ast.Constant(value=str(value)):
            yield f"{value[:30]!r} -> other text"
        case ast.IfExp() | ast.If() | ast.While():
            yield "condition turned"
        case ast.comprehension(ifs=[_, *_]):
            yield "filter dropped"
        case ast.Continue():
            yield "continue -> break"
        case ast.Break():
            yield "break -> continue"
        case ast.Return(value=value) if value is not None and not isinstance(value, ast.Constant):
            yield "return -> return None"
        case ast.Expr(value=ast.Call()):
            yield "call dropped"
        case _:
            return


def _apply(node: ast.AST, what: str) -> None:  # noqa: C901, PLR0912  one branch for each sort of node
    match node:
        case ast.Compare(ops=[op]):
            node.ops = [COMPARED[type(op)]()]
        case ast.BoolOp():
            node.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        case ast.UnaryOp():
            inner = node.operand
            node.op, node.operand = ast.Not(), ast.UnaryOp(op=ast.Not(), operand=copy.copy(inner))
            if what == "unary sign dropped":
                node.op, node.operand = ast.UAdd(), inner
        case ast.BinOp(op=op) | ast.AugAssign(op=op):
            node.op = COMPUTED[type(op)]()
        case ast.Constant(value=bool(value)):
            node.value = not value
        case ast.Constant(value=int(value)):
            node.value = value + 1
        case ast.Constant(value=str(value)):
            node.value = f"{value}X" if value else "X"
        case ast.IfExp() | ast.If() | ast.While():
            node.test = ast.UnaryOp(op=ast.Not(), operand=node.test)
        case ast.comprehension():
            node.ifs = []
        case ast.Return():
            node.value = ast.Constant(value=None)
        case ast.Expr():
            node.value = ast.Constant(value=None)
        case ast.Continue() | ast.Break():
            node.__class__ = ast.Break if isinstance(node, ast.Continue) else ast.Continue
        case _:
            raise LookupError(ast.dump(node))
