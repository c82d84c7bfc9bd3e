"""Change one thing in a core module, and see whether its tests notice: `make mutants`.

Every mutant is a copy of the package in which one comparison is flipped, a number is one larger, a
condition or a statement is dropped, or ``and`` and ``or`` have changed places. The tests that mirror
the module run against the copy: first those of the module, then those of its package. A mutant that
they all pass survives. Some survivors behave as the original does; the others show what no test
checks.
"""

from __future__ import annotations

import argparse
import ast
import copy
import dataclasses
import difflib
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.processes import ROOT, environment, started

SOURCE = ROOT / "src"
PACKAGES = ("_axes", "_grid", "_kernel", "_plan", "_run", "_stores")

FLIPPED: dict[type[ast.cmpop], type[ast.cmpop]] = {
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
OPPOSITE: dict[type[ast.operator], type[ast.operator]] = {ast.Add: ast.Sub, ast.Sub: ast.Add}
# Without one of these, a program runs on; without another, it usually lacks a name.
DROPPABLE = (ast.Expr, ast.AugAssign, ast.Raise, ast.Break, ast.Continue, ast.Delete)

Change = Callable[[ast.AST], ast.AST]


@dataclasses.dataclass(frozen=True)
class Mutant:
    """One change: the n-th node of a module, in the order of `ast.walk`, is replaced."""

    path: Path
    line: int
    node: int
    change: Change = dataclasses.field(repr=False)

    def source(self) -> str:
        """Return the text of the changed module."""
        tree = _parsed(self.path)
        nodes = list(ast.walk(tree))
        old = nodes[self.node]
        new = ast.copy_location(self.change(copy.deepcopy(old)), old)
        for parent in nodes:
            for name, value in ast.iter_fields(parent):
                if value is old:
                    setattr(parent, name, new)
                elif isinstance(value, list):
                    value[:] = [new if item is old else item for item in value]
        return ast.unparse(ast.fix_missing_locations(tree)) + "\n"

    def diff(self) -> str:
        """Return what is changed; both sides are formatted by `ast.unparse`."""
        before = ast.unparse(_parsed(self.path)).splitlines()
        lines = difflib.unified_diff(before, self.source().splitlines(), n=1, lineterm="")
        return "\n".join(f"    {line}" for line in list(lines)[3:])


def _parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def mutants_of(path: Path) -> Iterator[Mutant]:
    """Yield every mutant of a module."""
    tree = _parsed(path)
    ignored = set(_ignored(tree))
    for i, node in enumerate(ast.walk(tree)):
        if node not in ignored:
            for change in _changes(node):
                first = node.target if isinstance(node, ast.comprehension) else node
                yield Mutant(path, first.lineno, i, change)


def _ignored(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes that no test can tell apart: annotations, texts, imports for types."""
    for node in ast.walk(tree):
        parts: list[ast.AST | None] = []
        if isinstance(node, (ast.AnnAssign, ast.arg)):
            parts = [node.annotation]
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            parts = [node.returns, *node.decorator_list]
        elif isinstance(node, ast.ClassDef):
            parts = [*node.decorator_list]
        elif isinstance(node, ast.JoinedStr):
            parts = [node]
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            parts = [node]  # a docstring
        elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            parts = [node]
        for part in parts:
            if part is not None:
                yield from ast.walk(part)


def _changes(node: ast.AST) -> Iterator[Change]:
    if isinstance(node, ast.Compare):
        for i, operator in enumerate(node.ops):
            if type(operator) in FLIPPED:
                yield lambda node, i=i: _set(node, "ops", i, FLIPPED[type(node.ops[i])]())
    elif isinstance(node, ast.BoolOp):
        other = ast.Or if isinstance(node.op, ast.And) else ast.And
        yield lambda node: ast.BoolOp(other(), node.values)
        for i in range(len(node.values)):
            yield lambda node, i=i: _without(node, i)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield lambda node: node.operand
    elif isinstance(node, ast.BinOp) and type(node.op) in OPPOSITE:
        yield lambda node: ast.BinOp(node.left, OPPOSITE[type(node.op)](), node.right)
    elif isinstance(node, ast.Constant) and type(node.value) is int:
        yield lambda node: ast.Constant(node.value + 1)
    elif isinstance(node, (ast.If, ast.IfExp)):
        for value in (True, False):
            yield lambda node, value=value: _with(node, test=ast.Constant(value))
    elif isinstance(node, ast.comprehension) and node.ifs:
        for i in range(len(node.ifs)):
            yield lambda node, i=i: _with(node, ifs=node.ifs[:i] + node.ifs[i + 1 :])
    elif isinstance(node, DROPPABLE) or (
        isinstance(node, ast.Assign) and not isinstance(node.targets[0], (ast.Name, ast.Tuple))
    ):
        yield lambda node: ast.Pass()


def _with(node: ast.AST, **fields: object) -> ast.AST:
    for name, value in fields.items():
        setattr(node, name, value)
    return node


def _set(node: ast.AST, name: str, i: int, value: ast.AST) -> ast.AST:
    getattr(node, name)[i] = value
    return node


def _without(node: ast.BoolOp, i: int) -> ast.expr:
    rest = node.values[:i] + node.values[i + 1 :]
    return rest[0] if len(rest) == 1 else ast.BoolOp(node.op, rest)


def tests_of(path: Path) -> list[list[str]]:
    """Return the tests that mirror a module, and those of its package."""
    package = ROOT / "tests" / path.parent.name.lstrip("_")
    mirrored = package / f"test_{path.stem}.py"
    return [[str(mirrored)] if mirrored.exists() else [], [str(package)]]


def survives(mutant: Mutant, folder: Path, limit_s: float) -> bool:
    """Whether the tests of a module pass with a change in it; hanging is not passing."""
    place = folder / mutant.path.relative_to(SOURCE)
    place.write_text(mutant.source())
    try:
        return all(_pass(tests, folder, limit_s) for tests in tests_of(mutant.path) if tests)
    finally:
        shutil.copyfile(mutant.path, place)


def _pass(tests: list[str], folder: Path, limit_s: float) -> bool:
    paths = [str(folder), *environment()["PYTHONPATH"].split(os.pathsep)]
    command = ["-m", "pytest", "-q", "-x", "-m", "not slow", *tests]
    with started(*command, cwd=ROOT, env={"PYTHONPATH": os.pathsep.join(paths)}) as process:
        try:
            out, _ = process.communicate(timeout=limit_s)
        except subprocess.TimeoutExpired:
            return False
    if process.returncode not in (0, 1, 2):  # 2: the mutant cannot even be imported
        raise RuntimeError(out)
    return process.returncode == 0


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__.partition("\n")[0], formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sample", type=int, default=50, help="how many mutants (50)")
    parser.add_argument("--seed", type=int, default=0, help="which ones (0)")
    parser.add_argument("--modules", default="", help="only of modules whose path has this text")
    parser.add_argument("--limit", type=float, default=600, help="seconds for the tests (600)")
    options = parser.parse_args()

    modules = sorted(path for name in PACKAGES for path in (SOURCE / "gridax" / name).glob("*.py"))
    mutants = [m for path in modules if options.modules in str(path) for m in mutants_of(path)]
    chosen = random.Random(options.seed).sample(mutants, min(options.sample, len(mutants)))
    print(f"{len(chosen)} of {len(mutants)} mutants", flush=True)
    begin, survivors = time.monotonic(), 0
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(SOURCE, folder, dirs_exist_ok=True)
        for i, mutant in enumerate(chosen, 1):
            where = f"{mutant.path.relative_to(ROOT)}:{mutant.line}"
            if survives(mutant, Path(folder), options.limit):
                survivors += 1
                print(f"{i}. {where} survives\n{mutant.diff()}", flush=True)
            else:
                print(f"{i}. {where}", flush=True)
    seconds = time.monotonic() - begin
    print(f"{survivors} of {len(chosen)} mutants survive ({seconds:.0f} s)")


if __name__ == "__main__":
    sys.exit(main())
