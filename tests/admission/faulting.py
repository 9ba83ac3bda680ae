"""
Make any single call of the decision fail: load its modules from their source with a switch at every call.

A call site is found in the source itself, so one that is new is tried without anybody having to remember it.
"""

import ast
import importlib
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType, ModuleType
from typing import Any

PACKAGES = ("webhook.netpol", "webhook.eem", "webhook.admission")
HOOK = "__call_site__"

Site = tuple[str, int, int]
"""Module, line and column of a call."""


class InjectedError(Exception):
    """What a call raises that is made to fail."""


class Switchboard:
    """
    Every call site with its function, which of them look something up, were reached, and which one fails at the moment.

    Calls that only make an error that is raised are no sites: whatever they do, an error comes out.

    Args of the hook: what is called, unless its site is the one that fails.
    """

    def __init__(self) -> None:
        self.sites: dict[Site, str] = {}
        self.lookups: set[Site] = set()
        self.reached: set[Site] | None = None
        self.failing: Site | None = None
        self.failure: Callable[..., Any] | None = None

    def hook(self, site: Site, called: Any) -> Any:
        if self.reached is not None:
            self.reached.add(site)
        return self.failure if site == self.failing else called

    @contextmanager
    def recording(self) -> Iterator[set[Site]]:
        """Note which sites are reached."""
        self.reached = set()
        try:
            yield self.reached
        finally:
            self.reached = None

    @contextmanager
    def broken(self, site: Site, failure: Callable[..., Any]) -> Iterator[None]:
        """Let one site do *failure* instead of its call."""
        self.failing, self.failure = site, failure
        try:
            yield
        finally:
            self.failing = self.failure = None


class _Switches(ast.NodeTransformer):
    """Put the hook around what every call inside a function calls; class bodies and decorators run at import."""

    def __init__(self, module: str, board: Switchboard) -> None:
        self._module = module
        self._board = board
        self._within: list[str] = []

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        self._within.append(node.name)
        node.body = [self.visit(statement) for statement in node.body]
        self._within.pop()
        return node

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        if not self._within or (isinstance(node.func, ast.Name) and node.func.id in {"super", "assert_never", HOOK}):
            return node
        site = (self._module, node.lineno, node.col_offset)
        self._board.sites[site] = self._within[0]
        if isinstance(node.func, ast.Attribute) and node.func.attr == "get":
            self._board.lookups.add(site)
        where = ast.copy_location(ast.Constant(value=site), node)
        name = ast.copy_location(ast.Name(id=HOOK, ctx=ast.Load()), node)
        node.func = ast.copy_location(ast.Call(func=name, args=[where, node.func], keywords=[]), node)
        return ast.fix_missing_locations(node)


class _Loader(SourceFileLoader):
    """Compiles a module with its switches."""

    def __init__(self, fullname: str, path: str, board: Switchboard) -> None:
        super().__init__(fullname, path)
        self._board = board

    def get_code(self, fullname: str) -> CodeType:
        """Compile from source, never from a cached file."""
        path = self.get_filename(fullname)
        tree = ast.parse(self.get_data(path), path)
        return compile(_Switches(fullname, self._board).visit(tree), path, "exec")

    def exec_module(self, module: ModuleType) -> None:
        """Give the module its hook before it runs."""
        module.__dict__[HOOK] = self._board.hook
        super().exec_module(module)


class _Finder(MetaPathFinder):
    """Finds the modules of the decision, with switches."""

    def __init__(self, board: Switchboard) -> None:
        self._board = board

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Give a spec with the loader above; None for a module of somebody else."""
        if not fullname.startswith(PACKAGES):
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.origin is not None:
            spec.loader = _Loader(fullname, spec.origin, self._board)
        return spec


@contextmanager
def switched(*modules: str) -> Iterator[tuple[Switchboard, list[ModuleType]]]:
    """Load *modules* anew with a switch at every call; afterwards everything is as it was."""
    board = Switchboard()
    finder = _Finder(board)
    kept = {name: module for name, module in sys.modules.items() if name.startswith(PACKAGES)}
    for name in kept:
        del sys.modules[name]
    sys.meta_path.insert(0, finder)
    try:
        yield board, [importlib.import_module(name) for name in modules]
    finally:
        sys.meta_path.remove(finder)
        for name in [name for name in sys.modules if name.startswith(PACKAGES)]:
            del sys.modules[name]
        sys.modules.update(kept)
        # Packages are attributes of `webhook`, which stayed; within them a function may bear the name of its module.
        for name in PACKAGES:
            parent, _, child = name.rpartition(".")
            setattr(sys.modules[parent], child, kept[name])
