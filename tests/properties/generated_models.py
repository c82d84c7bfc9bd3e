"""Models as source text: every way to refer to a helper or a constant, one within another."""

from __future__ import annotations

import re
from pathlib import Path

HEAD = """
import collections, copy, dataclasses, enum, functools
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
"""

# Ways to refer to a constant. Each defines a function NAME, and VALUE is a number.
CONSTANTS = {
    "literal": "def NAME(x): return x * VALUE",
    "default": "def NAME(x, k=VALUE): return x * k",
    "computed default": "K_NAME = VALUE\ndef NAME(x, *, k=K_NAME): return x * k",
    "global number": "K_NAME = VALUE\ndef NAME(x): return x * K_NAME",
    "global text": "K_NAME = 'VALUE'\ndef NAME(x): return x * float(K_NAME)",
    "global flag": "K_NAME = VALUE > 2.5\ndef NAME(x): return x if K_NAME else -x",
    "global tuple": "K_NAME = (1.0, (VALUE,))\ndef NAME(x): return x * K_NAME[1][0]",
    "global list": "K_NAME = [1.0, VALUE]\ndef NAME(x): return x * K_NAME[1]",
    "global dict": "K_NAME = {'a': {'b': VALUE}}\ndef NAME(x): return x * K_NAME['a']['b']",
    "global set": "K_NAME = {VALUE, 0.0}\ndef NAME(x): return x * max(K_NAME)",
    "global array": "K_NAME = np.array([VALUE])\ndef NAME(x): return x * K_NAME[0]",
    "global JAX array": "K_NAME = jnp.array([VALUE])\ndef NAME(x): return x * K_NAME[0]",
    "named tuple": (
        "T_NAME = collections.namedtuple('T_NAME', 'a b')\nK_NAME = T_NAME(1.0, VALUE)\n"
        "def NAME(x): return x * K_NAME.b"
    ),
    "dataclass": (
        "@dataclasses.dataclass(frozen=True)\nclass T_NAME:\n    a: float\n    b: list\n"
        "K_NAME = T_NAME(1.0, [VALUE])\ndef NAME(x): return x * K_NAME.b[0]"
    ),
    "default of a dataclass": (
        "@dataclasses.dataclass\nclass T_NAME:\n    a: float = VALUE\ndef NAME(x): return x * T_NAME().a"
    ),
    "factory of a dataclass": (
        "@dataclasses.dataclass\nclass T_NAME:\n"
        "    a: list = dataclasses.field(default_factory=lambda: [VALUE])\n"
        "def NAME(x): return x * T_NAME().a[0]"
    ),
    "enum": (
        "class T_NAME(enum.Enum):\n    A = 1.0\n    B = VALUE\n"
        "def NAME(x): return x * T_NAME.B.value"
    ),
    "member of an enum": (
        "class T_NAME(enum.Enum):\n    A = 1.0\n    B = VALUE\nK_NAME = T_NAME.B\n"
        "def NAME(x): return x * K_NAME.value"
    ),
    "attribute of a class": (
        "class T_NAME:\n    a = VALUE\nclass S_NAME(T_NAME): pass\ndef NAME(x): return x * S_NAME.a"
    ),
    "attribute of an object": (
        "class T_NAME:\n    def __init__(self): self.a = (VALUE, True)\nK_NAME = T_NAME()\n"
        "def NAME(x): return x * K_NAME.a[0]"
    ),
    "slot of an object": (
        "class T_NAME:\n    __slots__ = ('__a',)\n    def __init__(self): self.__a = VALUE\n"
        "    def at(self): return self.__a\nK_NAME = T_NAME()\ndef NAME(x): return x * K_NAME.at()"
    ),
    "attribute that only a setter writes": (
        "class T_NAME:\n    def __init__(self): self.a = 1.0\n    def put(self, a): self.a = a\n"
        "K_NAME = T_NAME()\nK_NAME.put(VALUE)\ndef NAME(x): return x * K_NAME.a"
    ),
    "copy of an object": (
        "class T_NAME: pass\nK_NAME = T_NAME()\nK_NAME.a, K_NAME.b = 1.0, VALUE\n"
        "def NAME(x):\n    k = copy.copy(K_NAME)\n    k.a = 5.0\n    return x * k.b"
    ),
    "attribute of a function": "def NAME(x): return x * NAME.k\nNAME.k = VALUE",
    "closure": (
        "def make_NAME(k):\n    def inner(x): return x * k\n    return inner\nNAME = make_NAME(VALUE)"
    ),
    "argument of a partial": (
        "def g_NAME(k, x): return x * k\nNAME = functools.partial(g_NAME, VALUE)"
    ),
    "equinox module": (
        "class T_NAME(eqx.Module):\n    k: float\n    def __call__(self, x): return x * self.k\n"
        "NAME = T_NAME(VALUE)"
    ),
    "nested module": (
        "class T_NAME(eqx.Module):\n    k: list\n    def __call__(self, x): return x * self.k[0]\n"
        "K_NAME = {'m': T_NAME([jnp.array(VALUE)])}\ndef NAME(x): return K_NAME['m'](x)"
    ),
}

# Ways to refer to a helper INNER from a function NAME.
HELPERS = {
    "call": "def NAME(x): return INNER(x)",
    "alias": "f_NAME = INNER\ndef NAME(x): return f_NAME(x)",
    "jit": "f_NAME = jax.jit(INNER)\ndef NAME(x): return f_NAME(x)",
    "jit of a lambda": "f_NAME = jax.jit(lambda x: INNER(x))\ndef NAME(x): return f_NAME(x)",
    "decorated by jit": "@jax.jit\ndef NAME(x): return INNER(x)",
    "vmap": "f_NAME = jax.vmap(INNER)\ndef NAME(x): return f_NAME(jnp.stack([x]))[0]",
    "checkpoint": "f_NAME = jax.checkpoint(INNER)\ndef NAME(x): return f_NAME(x)",
    "grad": "f_NAME = jax.grad(lambda x: INNER(x))\ndef NAME(x): return f_NAME(x)",
    "filter_jit": "f_NAME = eqx.filter_jit(INNER)\ndef NAME(x): return f_NAME(x)",
    "custom_jvp": (
        "f_NAME = jax.custom_jvp(lambda x: x)\n"
        "f_NAME.defjvp(lambda p, t: (f_NAME(*p), INNER(t[0])))\ndef NAME(x): return f_NAME(x)"
    ),
    "custom_vjp": (
        "f_NAME = jax.custom_vjp(lambda x: x)\n"
        "f_NAME.defvjp(lambda x: (x, None), lambda r, g: (INNER(g),))\ndef NAME(x): return f_NAME(x)"
    ),
    "custom_vmap": (
        "f_NAME = jax.custom_batching.custom_vmap(lambda x: x)\n"
        "f_NAME.def_vmap(lambda n, b, x: (INNER(x), True))\ndef NAME(x): return f_NAME(x)"
    ),
    "pure_callback": (
        "def NAME(x):\n    kind = jax.ShapeDtypeStruct((), jnp.float32)\n"
        "    return jax.pure_callback(lambda y: np.float32(INNER(y)), kind, x)"
    ),
    "lru_cache": "f_NAME = functools.lru_cache(INNER)\ndef NAME(x): return f_NAME(x)",
    "decorated by cache": "@functools.cache\ndef NAME(x): return INNER(x)",
    "partial": "f_NAME = functools.partial(INNER)\ndef NAME(x): return f_NAME(x)",
    "partial of a wrapper": (
        "f_NAME = functools.partial(jax.jit(INNER))\ndef NAME(x): return f_NAME(x)"
    ),
    "np.vectorize": "f_NAME = np.vectorize(INNER)\ndef NAME(x): return f_NAME(x)",
    "numba": (  # its dispatchers keep the function there
        "class D_NAME:\n    def __init__(self, f): self.py_func = f\n"
        "    def __call__(self, x): return self.py_func(x)\n"
        "f_NAME = D_NAME(INNER)\ndef NAME(x): return f_NAME(x)"
    ),
    "singledispatch": (
        "@functools.singledispatch\ndef f_NAME(x): raise TypeError\n"
        "@f_NAME.register(object)\ndef _(x): return INNER(x)\ndef NAME(x): return f_NAME(x)"
    ),
    "decorator with wraps": (
        "def d_NAME(f):\n    @functools.wraps(f)\n    def wrapper(x): return f(x) + INNER(x)\n"
        "    return wrapper\n@d_NAME\ndef NAME(x): return x"
    ),
    "decorator without wraps": (
        "def d_NAME(f):\n    def wrapper(x): return f(INNER(x))\n    return wrapper\n"
        "@d_NAME\ndef NAME(x): return x"
    ),
    "decorated helper": (
        "def d_NAME(f):\n    @functools.wraps(f)\n    def wrapper(x): return f(x)\n    return wrapper\n"
        "f_NAME = d_NAME(INNER)\ndef NAME(x): return f_NAME(x)"
    ),
    "nested function": (
        "def NAME(x):\n    def deep(y):\n        def deeper(z): return INNER(z)\n"
        "        return deeper(y)\n    return deep(x)"
    ),
    "lambda": "NAME = lambda x: (lambda y: INNER(y))(x)",
    "comprehension": "def NAME(x): return sum([INNER(y) for y in [x]])",
    "generator": "def NAME(x):\n    def each():\n        yield INNER(x)\n    return next(each())",
    "match": (
        "def NAME(x):\n    match (1, x):\n        case (1, y): return INNER(y)\n"
        "        case _: return x"
    ),
    "class in a function": (
        "def NAME(x):\n    class Local:\n        f = staticmethod(INNER)\n    return Local.f(x)"
    ),
    "default": "def NAME(x, f=INNER): return f(x)",
    "keyword default": "def NAME(x, *, f=INNER): return f(x)",
    "tuple": "f_NAME = (1, INNER)\ndef NAME(x): return f_NAME[1](x)",
    "dict of functions": "f_NAME = {'a': INNER}\ndef NAME(x): return f_NAME['a'](x)",
    "list of wrappers": "f_NAME = [jax.jit(INNER)]\ndef NAME(x): return f_NAME[0](x)",
    "closure": (
        "def make_NAME(f):\n    def inner(x): return f(x)\n    return inner\nNAME = make_NAME(INNER)"
    ),
    "method": (
        "class T_NAME:\n    def f(self, x): return INNER(x)\nk_NAME = T_NAME()\n"
        "def NAME(x): return k_NAME.f(x)"
    ),
    "class": "class T_NAME:\n    def f(self, x): return INNER(x)\ndef NAME(x): return T_NAME().f(x)",
    "inherited method": (
        "class T_NAME:\n    def f(self, x): return INNER(x)\nclass S_NAME(T_NAME): pass\n"
        "k_NAME = S_NAME()\ndef NAME(x): return k_NAME.f(x)"
    ),
    "super": (
        "class T_NAME:\n    def f(self, x): return INNER(x)\nclass S_NAME(T_NAME):\n"
        "    def f(self, x): return super().f(x)\ndef NAME(x): return S_NAME().f(x)"
    ),
    "metaclass": (
        "class M_NAME(type):\n    def f(cls, x): return INNER(x)\nclass T_NAME(metaclass=M_NAME): pass\n"
        "def NAME(x): return T_NAME.f(x)"
    ),
    "attribute of a class": ("class T_NAME:\n    f = [INNER]\ndef NAME(x): return T_NAME.f[0](x)"),
    "static method": (
        "class T_NAME:\n    @staticmethod\n    def f(x): return INNER(x)\ndef NAME(x): return T_NAME.f(x)"
    ),
    "class method": (
        "class T_NAME:\n    @classmethod\n    def f(cls, x): return INNER(x)\n"
        "def NAME(x): return T_NAME.f(x)"
    ),
    "property": (
        "class T_NAME:\n    @property\n    def f(self): return INNER\ndef NAME(x): return T_NAME().f(x)"
    ),
    "cached property": (
        "class T_NAME:\n    @functools.cached_property\n    def f(self): return INNER\n"
        "k_NAME = T_NAME()\ndef NAME(x): return k_NAME.f(x)"
    ),
    "jitted method": (
        "class T_NAME:\n    @functools.partial(jax.jit, static_argnums=0)\n"
        "    def f(self, x): return INNER(x)\nk_NAME = T_NAME()\ndef NAME(x): return k_NAME.f(x)"
    ),
    "bound method": "class T_NAME:\n    def f(self, x): return INNER(x)\nNAME = T_NAME().f",
    "callable object": "class T_NAME:\n    def __call__(self, x): return INNER(x)\nNAME = T_NAME()",
    "nested objects": (
        "class T_NAME: pass\nk_NAME = T_NAME()\nk_NAME.a = T_NAME()\nk_NAME.a.f = INNER\n"
        "def NAME(x): return k_NAME.a.f(x)"
    ),
    "equinox module": (
        "class T_NAME(eqx.Module):\n    k: float = 1.0\n    def __call__(self, x): return INNER(x)\n"
        "NAME = T_NAME()"
    ),
    "function in an equinox module": (
        "class T_NAME(eqx.Module):\n    f: object = eqx.field(static=True)\n"
        "    def __call__(self, x): return self.f(x)\nNAME = T_NAME(INNER)"
    ),
    "in a library": "np.NAME_test = INNER\ndef NAME(x): return np.NAME_test(x)",
    "recursion": (
        "def g_NAME(n, x): return INNER(x) if n == 0 else NAME(x)\ndef NAME(x): return g_NAME(0, x)"
    ),
    # From here on, what was defined so far lies in a module of its own: MODULE.
    "module": "import MODULE\ndef NAME(x): return MODULE.INNER(x)",
    "module under another name": "import MODULE as m_NAME\ndef NAME(x): return m_NAME.INNER(x)",
    "from module": "from MODULE import INNER as f_NAME\ndef NAME(x): return f_NAME(x)",
    "import inside": "def NAME(x):\n    import MODULE\n    return MODULE.INNER(x)",
    "import inside under another name": (
        "def NAME(x):\n    import MODULE as m\n    return (lambda y: m.INNER(y))(x)"
    ),
    "from module inside": "def NAME(x):\n    from MODULE import INNER as f\n    return f(x)",
    "module in a variable": (
        "import MODULE\ndef NAME(x):\n    m = MODULE\n    return getattr(m, 'INNER')(x)"
    ),
    "module in a module": (
        "import MODULE\nclass T_NAME: m = MODULE\ndef NAME(x): return T_NAME.m.INNER(x)"
    ),
}


def files_of(constant: str, helpers: list[str], value: float, edit: str = "") -> dict[str, str]:
    """Return the modules of a model, by file name; the model is ``model.model``."""
    files: dict[str, str] = {}
    text = HEAD + CONSTANTS[constant].replace("VALUE", repr(value)).replace("NAME", "f0") + "\n"
    for i, way in enumerate(helpers, start=1):
        body = HELPERS[way]
        if "MODULE" in body:
            module = f"part{i}"
            files[f"{module}.py"] = text
            text, body = HEAD, body.replace("MODULE", module)
        text += body.replace("INNER", f"f{i - 1}").replace("NAME", f"f{i}") + "\n"
    last = f"f{len(helpers)}"
    files["model.py"] = f"{text}\ndef model(state): return {last}(state['x'])\n"
    return {name: edited(text, edit) for name, text in files.items()}


EDITS = ("annotations", "docstrings", "spacing", "comments", "lines", "globals")
# Of a module that is passed on as a whole, everything counts.
WHOLE_MODULES = ("module in a variable", "module in a module")


def edited(text: str, edit: str) -> str:
    """Return a text that says the same."""
    match edit:
        case "everything":
            for each in EDITS:
                text = edited(text, each)
        case "annotations":
            return re.sub(r"def (\w+)\(x\):", r"def \1(x: float) -> float:", text)
        case "docstrings":
            text = re.sub(r"def (.*): (return|raise)", r"def \1: '''Say.'''; \2", text)
            return re.sub(r"\n( *)def (.*):\n", r"\n\1def \2:\n\1    '''Say more.'''\n", text)
        case "spacing":
            text = text.replace(" * ", "*").replace(", ", " ,   ").replace("(x)", "( x )")
            return re.sub(r": (return .*)\n", r":\n                \1\n\n", text)
        case "comments":
            return re.sub(r"\n", "  # a comment\n", text) + "# The end.\n"
        case "lines":
            return "\n" * 7 + text.replace("\ndef ", "\n\n\n\ndef ")
        case "globals":
            return f"UNRELATED, LATER = 3, [4]\n{text}\ndef unused(y): return UNRELATED + y\n"
    return text


def write(files: dict[str, str], folder: Path) -> Path:
    folder.mkdir(parents=True)
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder
