"""
Make any single call on the way of a review fail: load the modules from their source with a switch at every call.

The call sites are found in the source itself, so a new one is tried without an entry in a list.
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

PACKAGES = ("webhook.netpol", "webhook.eem", "webhook.admission", "webhook.guard")
HOOK = "__call_site__"

Site = tuple[str, int, int]
"""Module, line and column of a call."""


class InjectedError(Exception):
    """Raised by a call that is made to fail."""


class Switchboard:
    """
    Every call site, which of them were reached, and which one fails at the moment.

    A call that makes the error of a `raise` is no site: an error comes out, whatever the call does.
    """

    def __init__(self) -> None:
        self.sites: set[Site] = set()
        self.look_ups: set[Site] = set()
        self.reached: set[Site] | None = None
        self.failing: Site | None = None
        self.failure: Callable[..., Any] | None = None

    def hook(self, site: Site, called: Any) -> Any:
        """Return what is called at a site, or the failure if this site fails."""
        if self.reached is not None:
            self.reached.add(site)
        return self.failure if site == self.failing else called

    @contextmanager
    def recording(self) -> Iterator[set[Site]]:
        """Collect the sites that are reached."""
        self.reached = set()
        try:
            yield self.reached
        finally:
            self.reached = None

    @contextmanager
    def broken(self, site: Site | None, failure: Callable[..., Any] | None) -> Iterator[None]:
        """Replace the call at one site by *failure*."""
        self.failing, self.failure = site, failure
        try:
            yield
        finally:
            self.failing = self.failure = None


class _Switches(ast.NodeTransformer):
    """Put the hook around every call inside a function; class bodies and decorators run at import."""

    def __init__(self, module: str, board: Switchboard) -> None:
        self._module = module
        self._board = board
        self._depth = 0

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        return self._function(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        return self._function(node)

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> ast.AST:
        self._depth += 1
        node.body = [self.visit(statement) for statement in node.body]
        self._depth -= 1
        return node

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        if not self._depth or (isinstance(node.func, ast.Name) and node.func.id in {"super", "assert_never", HOOK}):
            return node
        site = (self._module, node.lineno, node.col_offset)
        self._board.sites.add(site)
        if _is_look_up(node):
            self._board.look_ups.add(site)
        where = ast.copy_location(ast.Constant(value=site), node)
        name = ast.copy_location(ast.Name(id=HOOK, ctx=ast.Load()), node)
        node.func = ast.copy_location(ast.Call(func=name, args=[where, node.func], keywords=[]), node)
        return ast.fix_missing_locations(node)


def _is_look_up(node: ast.Call) -> bool:
    """Whether a call looks a value up in a mapping; `get` with a literal or `..._field` reads a field of an object."""
    if not (isinstance(node.func, ast.Attribute) and node.func.attr == "get" and node.args):
        return False
    key = node.args[0]
    return not isinstance(key, ast.Constant) and not (isinstance(key, ast.Name) and key.id.endswith("_field"))


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
        """Set the module's hook before it runs."""
        module.__dict__[HOOK] = self._board.hook
        super().exec_module(module)


class _Finder(MetaPathFinder):
    """Finds the modules of these packages, with switches."""

    def __init__(self, board: Switchboard) -> None:
        self._board = board

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return a spec with the loader above; None for a module of another package."""
        if not fullname.startswith(PACKAGES):
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.origin is not None:
            spec.loader = _Loader(fullname, spec.origin, self._board)
        return spec


@contextmanager
def switched(*modules: str) -> Iterator[tuple[Switchboard, list[ModuleType]]]:
    """Load *modules* again with a switch at every call, and restore the modules afterwards."""
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
        # Packages are attributes of `webhook`, which was not loaded again; a function may have the name of its module.
        for name in PACKAGES:
            parent, _, child = name.rpartition(".")
            if name in kept:
                setattr(sys.modules[parent], child, kept[name])
