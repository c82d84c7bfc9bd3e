"""What code says, from its source or without one, and the outside names in it."""

from __future__ import annotations

import linecache
import sys
import textwrap

import pytest

from gridax._digest.syntax import Import, Item, references, syntax


def made(text, tmp_path=None, name="f"):
    """Return a function of some source text, in a file if there is a folder for it."""
    text = textwrap.dedent(text)
    path = "<string>"
    if tmp_path is not None:
        path = str(tmp_path / "made.py")
        (tmp_path / "made.py").write_text(text)
    names = {}
    exec(compile(text, path, "exec"), names)
    return names[name]


@pytest.fixture(params=["source", "bytecode"])
def function(request, tmp_path):
    """Return a function that makes others, whose source is at hand or not."""
    return lambda text: made(text, tmp_path if request.param == "source" else None)


SAME = {
    "comment": ("def f(x): return x + 1", "def f(x):\n    # One more.\n    return x + 1  # here"),
    "docstring": ("def f(x): return x + 1", "def f(x):\n    '''Add one.'''\n    return x + 1"),
    "docstring without a result": ("def f(x):\n    y = x", "def f(x):\n    'Say.'\n    y = x"),
    "annotations": (
        "def f(x, *, k=1):\n    y = x\n    return y",
        "def f(x: int, *, k: float = 1) -> int:\n    y: int = x\n    return y",
    ),
    "brackets": ("def f(x): return x + 1 * 2", "def f(x):\n    return (x\n        + (1 * 2))"),
    "notation": ("def f(x): return 'a', 1e3", 'def f(x): return "a", 1_000.0'),
    "name": ("def f(x): return x", "def g(x): return x\nf = g"),
    "lines": ("def f(x): return x", "\n\n\nimport sys\ndef f(x):\n\n    return x"),
    "inner docstring": (
        "def f(x):\n    def g(): return x\n    return g",
        "def f(x):\n    def g():\n        'Say.'\n        return x\n    return g",
    ),
    "decorator that is gone": ("def f(x): return x", "@lambda g: g\ndef f(x): return x"),
}

DIFFERENT = {
    "constant": ("def f(x): return x + 1", "def f(x): return x + 2"),
    "type of a constant": ("def f(x): return x + 1", "def f(x): return x + 1.0"),
    "name": ("def f(x): return abs(x)", "def f(x): return len(x)"),
    "attribute": ("def f(x): return x.a", "def f(x): return x.b"),
    "order": ("def f(x, y): return x - y", "def f(y, x): return x - y"),
    "operator": ("def f(x): return x < 1", "def f(x): return x <= 1"),
    "generator": ("def f(x): return x", "def f(x): yield x"),
    "set": ("def f(x): return x in {'a', 'b'}", "def f(x): return x in {'a', 'c'}"),
    "default of an inner function": (
        "def f(x):\n    def g(y=1): return y\n    return g()",
        "def f(x):\n    def g(y=2): return y\n    return g()",
    ),
    "decorator of an inner function": (
        "def f(x):\n    @abs\n    def g(): return 1\n    return g",
        "def f(x):\n    @len\n    def g(): return 1\n    return g",
    ),
    "comprehension": (
        "def f(x): return [y for y in x if y]",
        "def f(x): return [y for y in x if not y]",
    ),
    "match": (
        "def f(x):\n    match x:\n        case 1: return 2",
        "def f(x):\n    match x:\n        case 2: return 2",
    ),
    "text in a format": ("def f(x): return f'{x}a'", "def f(x): return f'{x}b'"),
    "jump": (
        "def f(x):\n    while x:\n        if x > 3: continue\n        x -= 1",
        "def f(x):\n    while x:\n        if x > 3: break\n        x -= 1",
    ),
    "keyword": ("def f(x): return dict(a=x)", "def f(x): return dict(b=x)"),
    "star": ("def f(*x): return x", "def f(**x): return x"),
}


@pytest.mark.parametrize(("one", "other"), SAME.values(), ids=SAME)
def test_what_only_readers_see_does_not_count(tmp_path, one, other):
    first = syntax(made(one, tmp_path).__code__)
    assert syntax(made(other, tmp_path).__code__) == first


@pytest.mark.parametrize("kind", ["comment", "docstring", "annotations", "brackets", "lines"])
def test_without_a_source_layout_and_docstrings_do_not_count_either(kind):
    one, other = (syntax(made(text).__code__) for text in SAME[kind])
    assert one == other


@pytest.mark.parametrize(("one", "other"), DIFFERENT.values(), ids=DIFFERENT)
def test_what_code_does_counts(function, one, other):
    first = syntax(function(one).__code__)
    assert syntax(function(other).__code__) != first


def test_lambdas_in_one_line_are_told_apart(tmp_path):
    first, second, inner = made(
        "f = (lambda x: x + 1), (lambda x: x + 2), (lambda: (lambda x: x + 1))()", tmp_path
    )
    assert syntax(first.__code__) != syntax(second.__code__)
    assert syntax(first.__code__) == syntax(inner.__code__)


def test_a_file_that_was_edited_since_does_not_stand_for_the_code_that_runs(tmp_path):
    function = made("def f(x): return x + 1", tmp_path)
    before = syntax(function.__code__)
    (tmp_path / "made.py").write_text("# Moved.\n\ndef f(x): return x + 1\n")
    assert syntax(function.__code__) == before
    (tmp_path / "made.py").write_text("def f(x): return x + 1000\n")
    edited = syntax(function.__code__)
    assert b"1000" not in edited
    assert syntax(made("def f(x): return x + 1000", tmp_path).__code__) != edited
    (tmp_path / "made.py").write_text("def f(x): return (\n")
    linecache.checkcache()
    assert syntax(function.__code__) == edited


def test_an_expression_of_many_terms_has_a_syntax(tmp_path):
    terms = " + ".join(["x"] * (2 * sys.getrecursionlimit() // 3))
    one, other = (made(f"def f(x): return {terms} + {k}", tmp_path) for k in (1, 2))
    assert syntax(one.__code__) != syntax(other.__code__)
    assert references(one.__code__).reads == {}


def test_references_are_names_from_outside_with_their_attributes(function):
    found = references(
        function(
            "def f(x):\n    y = np.linalg.norm(x)\n    return [g(z) for z in y] + [np]"
        ).__code__
    )
    assert found.reads == {"np": {("linalg", "norm"), ()}, "g": {()}}


def test_imports_inside_a_function_are_known(tmp_path):
    text = """
    def f(x):
        import a, b.c, d.e as g
        from .h import i as j
        return a.k(x) + b.c.l(x) + g.m(x) + j(x)
    """
    found = references(made(text, tmp_path).__code__)
    assert found.imports == [
        Import("a", 0, "a", None, is_top=True),
        Import("b.c", 0, "b", None, is_top=True),
        Import("d.e", 0, "g"),
        Import("h", 1, "j", "i"),
    ]
    assert found.reads == {"a": {("k",)}, "b": {("c", "l")}, "g": {("m",)}, "j": {()}}


def test_what_a_function_changes_is_known(function):
    text = """
    def f(self):
        global N
        N += 1
        CACHE[self] = N
        PARAMETERS["a"] = N
        SEEN.append(N)
        OBJECT.count += 1
        self.n = N
        self.inner.seen.append(1)
        module.PARAMETERS["a"] = 1
    """
    found = references(function(text).__code__)
    assert found.rebound == {"N"}
    assert ("SEEN",) in found.called
    assert found.stored >= {
        ("OBJECT", "count"),
        ("PARAMETERS", Item("a")),
        ("module", "PARAMETERS", Item("a")),
    }


CHANGED = {
    "P[k] = 1": ("filled", ("P",)),
    "P['a'] = 1": ("stored", ("P", Item("a"))),
    "P['a']['b'] += 1": ("stored", ("P", Item("a"), Item("b"))),
    "P['a'][k] = 1": ("filled", ("P", Item("a"))),
    "P[k]['a'] = 1": ("filled", ("P",)),
    "del P[-1]": ("stored", ("P", Item(-1))),
    "P[0, 1] = 1": ("stored", ("P", Item((0, 1)))),
    "P[:] = [1]": ("stored", ("P", Item(...))),
    "P[:, :] = 1": ("stored", ("P", Item(...))),
    "P[1:] = [1]": ("filled", ("P",)),
    "P[k].b = 1": ("filled", ("P",)),
    "P.a['b'].c = 1": ("stored", ("P", "a", Item("b"), "c")),
    "setattr(P, 'a', 1)": ("stored", ("P", "a")),
    "P.update(a=1)": ("stored", ("P", Item("a"))),
    "P.update({'a': 1})": ("stored", ("P", Item("a"))),
    "P.update(k)": ("filled", ("P",)),
    "P.update(**k)": ("filled", ("P",)),
    "P.update({k: 1})": ("filled", ("P",)),
    "P[k].update(a=1)": ("filled", ("P",)),
    "P['a'].append(1)": ("called", ("P", Item("a"))),
    "P, *P['a'] = k": ("stored", ("P", Item("a"))),
}


@pytest.mark.parametrize(
    "statement", ["setattr(*k)", "setattr(P, k, 1)", "k().update(a=1)", "getattr(P, 'a')"]
)
def test_calls_that_do_not_say_what_they_change_are_no_changes(tmp_path, statement):
    found = references(made(f"def f(k):\n    {statement}", tmp_path).__code__)
    assert not (found.stored | found.filled | found.called)


@pytest.mark.parametrize(("statement", "change"), CHANGED.items(), ids=CHANGED)
def test_what_is_changed_is_known_to_the_item(tmp_path, statement, change):
    found = references(made(f"def f(k):\n    {statement}", tmp_path).__code__)
    kind, chain = change
    assert getattr(found, kind) == {chain}
    assert not (found.stored | found.filled | found.called) - {chain}


def test_what_a_method_changes_of_its_object_is_known(tmp_path):
    text = "def f(self):\n    self.n = 1\n    self.a.seen.append(1)\n    self.b[0].c = 2\n    del self.d"
    found = references(made(text, tmp_path).__code__)
    assert found.stored == {("self", "n"), ("self", "d"), ("self", "b", Item(0), "c")}
    assert found.called == {("self", "a", "seen")}
    assert not found.filled
