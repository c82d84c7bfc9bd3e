"""What code says: its syntax without what only readers see, and the outside names it uses.

Where source text is available, it is compared as a syntax tree, since bytecode differs between
versions of Python. The text may be newer than the code that runs, because modules are edited while
a session lives; a tree is therefore used only if it compiles to the very code in question.
"""

from __future__ import annotations

import ast
import dataclasses
import dis
import functools
import inspect
import linecache
import types
import warnings
from collections.abc import Iterator
from typing import Any

# Fields of a syntax tree without a meaning at run time, or repeated by another one.
_IGNORED = {"annotation", "returns", "type_comment", "type_params", "kind", "ctx"}
_Functions = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
# Methods of lists, dicts, sets and deques that change them.
_MUTATORS = frozenset(
    {"add", "append", "appendleft", "clear", "discard", "extend", "extendleft", "insert"}
    | {"move_to_end", "pop", "popitem", "popleft", "remove", "reverse", "setdefault", "sort"}
    | {"update"}
)

# Of the flags of code, those that change what a call does.
_MEANINGFUL = (
    inspect.CO_VARARGS
    | inspect.CO_VARKEYWORDS
    | inspect.CO_GENERATOR
    | inspect.CO_COROUTINE
    | inspect.CO_ASYNC_GENERATOR
)


@dataclasses.dataclass(frozen=True)
class Item:
    """A step from a container to one of its items, by a key that stands in the source.

    The key is ``...`` for all items, as in ``a[:] = x``.
    """

    key: Any


# Names of attributes, of which the first is that of a variable; where changes are, also items.
Chain = tuple[Any, ...]


@dataclasses.dataclass(frozen=True)
class Import:
    """An import statement inside a function: ``from .module import attribute as name``.

    Without an attribute, `name` is bound to `module`, or to its first package.
    """

    module: str
    level: int
    name: str
    attribute: str | None = None
    is_top: bool = False


@dataclasses.dataclass
class References:
    """The outside names that a function and the functions in it use.

    Attributes
    ----------
    reads : by name, the attributes that are read: ``("linalg", "norm")`` of ``np``, or ``()``
        where the name stands alone.
    imports : import statements inside.
    rebound : names that are assigned, by ``global`` and ``nonlocal``.
    stored : attributes and items that are assigned: ``self.n += 1`` gives ``("self", "n")``, and
        ``P["tau"] = x`` gives ``("P", Item("tau"))``.
    filled : what has items assigned under keys that are computed: ``CACHE[k] = v`` gives
        ``("CACHE",)``.
    called : what has a method called that may change it: ``self.seen.append(x)`` gives
        ``("self", "seen")``.
    attributes : attributes that are read, of local variables, too: ``("self", "seen", "append")``.
    """

    reads: dict[str, set[Chain]] = dataclasses.field(default_factory=dict)
    imports: list[Import] = dataclasses.field(default_factory=list)
    rebound: set[str] = dataclasses.field(default_factory=set)
    stored: set[Chain] = dataclasses.field(default_factory=set)
    filled: set[Chain] = dataclasses.field(default_factory=set)
    called: set[Chain] = dataclasses.field(default_factory=set)
    attributes: set[Chain] = dataclasses.field(default_factory=set)


def syntax(code: types.CodeType) -> bytes:
    """Return what a function says, without comments, docstrings, annotations and layout.

    The name and the decorators of the function itself are left out: what they do shows in the
    objects that they made.
    """
    node = _node(code)
    if node is not None:
        try:
            kind = type(node).__name__
            return repr((kind, _plain(node.args), _plain(node.body))).encode()
        except RecursionError:  # an expression of hundreds of terms
            pass
    return repr(_instructions(code)).encode()


@functools.lru_cache(maxsize=4096)
def references(code: types.CodeType) -> References:
    """Return the outside names that a function uses."""
    found = References()
    outside = set(code.co_freevars)
    for step in _steps(code):
        match step.opname.split("_")[:2]:
            case ["LOAD", "GLOBAL" | "NAME"]:
                outside.add(step.argval)
            case ["STORE" | "DELETE", "GLOBAL"]:
                found.rebound.add(step.argval)
            case ["STORE" | "DELETE", "DEREF"] if step.argval in code.co_freevars:
                found.rebound.add(step.argval)
    node = _node(code)
    if node is None:
        _read_instructions(code, found)
    else:
        try:
            _Reader(found).visit(node)
        except RecursionError:
            _read_instructions(code, found)
    outside |= {each.name for each in found.imports}
    found.reads = {name: chains for name, chains in found.reads.items() if name in outside}
    return found


def attribute_names(code: types.CodeType) -> Iterator[str]:
    """Yield the names of attributes and globals in some code and the functions in it."""
    yield from code.co_names
    for inner in _inner(code):
        yield from attribute_names(inner)


def stored_names(code: types.CodeType) -> Iterator[str]:
    """Yield the names of attributes that some code and the functions in it assign."""
    for step in _steps(code):
        if step.opname in ("STORE_ATTR", "DELETE_ATTR"):
            yield step.argval
    yield from (chain[-1] for chain in references(code).stored if isinstance(chain[-1], str))


def never_returns(code: types.CodeType) -> bool:
    """Whether a function cannot end but with an error."""
    return not any(
        step.opname.startswith(("RETURN_", "YIELD_")) for step in dis.get_instructions(code)
    )


def _inner(code: types.CodeType) -> list[types.CodeType]:
    return [constant for constant in code.co_consts if isinstance(constant, types.CodeType)]


def _steps(code: types.CodeType) -> Iterator[dis.Instruction]:
    yield from dis.get_instructions(code)
    for inner in _inner(code):
        yield from _steps(inner)


class _Reader(ast.NodeVisitor):
    """Collects what a syntax tree refers to, local names included."""

    def __init__(self, found: References) -> None:
        self._found = found

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Load):
            self._found.reads.setdefault(node.id, set()).add(())

    def visit_Attribute(self, node: ast.Attribute) -> None:
        chain, is_exact = _target(node)
        if is_exact and all(isinstance(step, str) for step in chain):
            self._found.reads.setdefault(chain[0], set()).add(chain[1:])
            self._found.attributes.add(chain)
        else:
            self.generic_visit(node)
        if not isinstance(node.ctx, ast.Load):
            self._assigns(node)

    def visit_Subscript(self, node: ast.Subscript) -> None:
        self.generic_visit(node)
        if not isinstance(node.ctx, ast.Load):
            self._assigns(node)

    def visit_Call(self, node: ast.Call) -> None:
        self.generic_visit(node)
        match node:
            case ast.Call(ast.Name("setattr" | "delattr"), [owner, ast.Constant(str(name)), *_]):
                self._assigns(ast.Attribute(owner, name, ast.Store()))
        if not isinstance(node.func, ast.Attribute) or node.func.attr not in _MUTATORS:
            return
        chain, is_exact = _target(node.func.value)
        if node.func.attr == "update" and chain:
            keys = _updated(node)
            if keys is None or not is_exact:
                self._found.filled.add(chain)
            else:
                self._found.stored |= {(*chain, Item(key)) for key in keys}
        elif chain:
            self._found.called.add(chain)

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            name = alias.asname or alias.name.partition(".")[0]
            self._found.imports.append(Import(alias.name, 0, name, None, alias.asname is None))

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        for alias in node.names:
            name = alias.asname or alias.name
            self._found.imports.append(Import(node.module or "", node.level, name, alias.name))

    def _assigns(self, node: ast.expr) -> None:
        """Note what an assignment changes: an attribute, an item, or any item of a container."""
        chain, is_exact = _target(node)
        if chain:
            (self._found.stored if is_exact else self._found.filled).add(chain)


def _target(node: ast.expr) -> tuple[Chain, bool]:
    """Return the variable, attributes and items to which an expression leads.

    They end where a key is computed; whether they do not is returned, too. An expression that does
    not begin with a variable leads to nothing.
    """
    match node:
        case ast.Name():
            return (node.id,), True
        case ast.Starred():
            return _target(node.value)
        case ast.Attribute() | ast.Subscript():
            chain, is_exact = _target(node.value)
            step = node.attr if isinstance(node, ast.Attribute) else _key(node.slice)
            if chain and is_exact and step is not None:
                return (*chain, step), True
            return chain, False
    return (), False


def _key(node: ast.expr) -> Item | None:
    """Return the item that a key stands for, or None if it is computed."""
    slices = node.elts if isinstance(node, ast.Tuple) and node.elts else [node]
    if all(isinstance(each, ast.Slice) and ast.unparse(each) == ":" for each in slices):
        return Item(...)
    try:
        key = ast.literal_eval(node)
        hash(key)
    except (ValueError, TypeError):
        return None
    return Item(key)


def _updated(node: ast.Call) -> list[Any] | None:
    """Return the keys that ``.update(…)`` of a dict sets, or None if they are computed."""
    keys: list[Any] = [each.arg for each in node.keywords]
    for each in node.args:
        if not isinstance(each, ast.Dict):
            return None
        for key in each.keys:
            item = None if key is None else _key(key)
            keys.append(None if item is None else item.key)
    return None if None in keys else keys


def _read_instructions(code: types.CodeType, found: References) -> None:
    """Collect what code without a source refers to, as far as its instructions tell."""
    chain: list[str] = []
    last: Chain = ()
    key: Item | None = None
    for step in dis.get_instructions(code):
        if chain and step.opname in ("LOAD_ATTR", "LOAD_METHOD"):
            if step.argval in _MUTATORS:
                (found.filled if step.argval == "update" else found.called).add(tuple(chain))
            chain.append(step.argval)
            continue
        if chain and step.opname == "STORE_ATTR":
            found.stored.add((*chain, step.argval))
        if chain:
            found.reads.setdefault(chain[0], set()).add(tuple(chain[1:]))
            found.attributes |= {tuple(chain)} if len(chain) > 1 else set()
            last, chain = tuple(chain), []
        if step.opname.startswith(("LOAD_GLOBAL", "LOAD_NAME", "LOAD_DEREF")):
            chain = [step.argval]
        elif step.opname == "STORE_SUBSCR" and last:
            (found.filled if key is None else found.stored).add(
                last if key is None else (*last, key)
            )
        elif step.opname == "IMPORT_NAME":
            name = step.argval.partition(".")[0]
            found.imports.append(Import(step.argval, 0, name, None, is_top=True))
        is_key = step.opname == "LOAD_CONST" and not isinstance(step.argval, slice)
        key = Item(step.argval) if is_key else None
    for inner in _inner(code):
        _read_instructions(inner, found)


def _instructions(code: types.CodeType) -> Any:
    """Return what code without a source does; its docstring and lines are not in it."""
    steps = list(dis.get_instructions(code))
    places = {step.offset: i for i, step in enumerate(steps)}
    shown = []
    for step in steps:
        value = step.argval
        if step.opname == "KW_NAMES":  # of Python 3.11 and 3.12
            value = code.co_consts[step.arg or 0]
        if "JUMP" in step.opname or step.opname in ("FOR_ITER", "SEND"):
            value = places.get(value, value)
        shown.append((step.opname, _constant(value)))
    flags = code.co_flags & _MEANINGFUL
    counts = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, flags)
    return counts, code.co_varnames[: code.co_argcount + code.co_kwonlyargcount], shown


def _constant(value: Any) -> Any:
    if isinstance(value, types.CodeType):
        return _instructions(value)
    if isinstance(value, frozenset):  # ordered differently in every process
        return sorted(map(repr, value))
    return repr(value)


def _plain(node: Any) -> Any:
    """Return a syntax tree as nested tuples, which every version of Python writes alike."""
    if isinstance(node, list):
        return [_plain(each) for each in node if not _is_idle(each)]
    if not isinstance(node, ast.AST):
        return repr(node)
    if isinstance(node, ast.ClassDef):  # its annotations may declare fields
        annotated = [repr(ast.dump(each)) for each in node.body if isinstance(each, ast.AnnAssign)]
        return ("ClassDef", *annotated, *_fields(node))
    if isinstance(node, ast.AnnAssign):
        return ("Assign", ("targets", [_plain(node.target)]), ("value", _plain(node.value)))
    return (type(node).__name__, *_fields(node))


def _fields(node: ast.AST) -> Iterator[Any]:
    for name, value in ast.iter_fields(node):
        if name not in _IGNORED and value is not None and value != []:
            yield name, _plain(value)


def _is_idle(node: Any) -> bool:
    """Whether a statement does nothing: a docstring, or an annotation without a value."""
    if isinstance(node, ast.AnnAssign):
        return node.value is None
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _node(code: types.CodeType) -> _Functions | None:
    """Return the syntax tree of a function, or None if its source is not at hand."""
    linecache.checkcache(code.co_filename)
    text = "".join(linecache.getlines(code.co_filename))
    if not text:
        return None
    codes, nodes = _parsed(text)
    current = codes.get(code)
    if current is None:
        # Lines may have moved since the module was imported.
        like = _instructions(code)
        same_name = [each for each in codes if each.co_name == code.co_name]
        current = next((each for each in same_name if _instructions(each) == like), None)
    if current is None:
        return None
    candidates = nodes.get((current.co_name, current.co_firstlineno), [])
    if len(candidates) > 1:  # lambdas in one line
        places = set(current.co_positions())
        candidates = [
            node
            for node in candidates
            if isinstance(node, ast.Lambda) and _place(node.body) in places
        ]
    return candidates[0] if len(candidates) == 1 else None


def _place(body: Any) -> tuple[int, ...]:
    """Return the range of an expression, in the order of `co_positions`."""
    return body.lineno, body.end_lineno, body.col_offset, body.end_col_offset


_Nodes = dict[tuple[str, int], list[_Functions]]


@functools.lru_cache(maxsize=64)
def _parsed(text: str) -> tuple[dict[types.CodeType, types.CodeType], _Nodes]:
    """Return the code objects that a text compiles to, and the functions in it by name and line."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Python has warned of the text already
            tree = ast.parse(text)
            whole = compile(text, "<text>", "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError):
        return {}, {}
    codes: dict[types.CodeType, types.CodeType] = {}
    waiting = [whole]
    while waiting:
        code = waiting.pop()
        codes[code] = code
        waiting += _inner(code)
    nodes: _Nodes = {}
    for node in ast.walk(tree):
        if isinstance(node, _Functions):
            first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", ()))])
            nodes.setdefault((getattr(node, "name", "<lambda>"), first), []).append(node)
    return codes, nodes
