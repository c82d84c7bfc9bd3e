"""What traced programs consist of: operands, references, and the programs that they call."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

# Operations whose inputs and outputs are those of their program, one to one.
_CALLS = frozenset({"jit", "closed_call", "remat2", "custom_jvp_call", "custom_vjp_call"})
LOOPS = frozenset({"scan", "while"})


def is_literal(atom: Any) -> bool:
    """Whether an operand is a constant in the program rather than a variable."""
    return hasattr(atom, "val")


def variables(atoms: Iterable[Any]) -> list[Any]:
    """Return those of some operands that are variables."""
    return [atom for atom in atoms if not is_literal(atom)]


def has_reference(atoms: Iterable[Any]) -> bool:
    """Whether any of some operands is an array that is changed in place."""
    return any(type(atom.aval).__name__ == "AbstractRef" for atom in atoms)


def bare(program: Any) -> Any:
    """Return the bare program in a closed one."""
    return getattr(program, "jaxpr", program)


def consts_and_carry(scan: Any) -> tuple[int, int]:
    """Return how many inputs a scan does not slice, and how many values it carries."""
    if "ft_in" in scan.params:  # since JAX 0.11
        consts, carry, _ = scan.params["ft_in"].unpack()
        return len(consts), len(carry)
    return scan.params["num_consts"], scan.params["num_carry"]


def called(equation: Any) -> Any | None:
    """Return the program of an operation that does nothing but call it; None for any other."""
    if equation.primitive.name not in _CALLS:
        return None
    programs = [*programs_in(tuple(equation.params.values()))]
    if len(programs) != 1:
        return None
    program = bare(programs[0])
    same = len(program.invars) == len(equation.invars)
    return programs[0] if same and len(program.outvars) == len(equation.outvars) else None


def equations_of(jaxpr: Any) -> Iterator[Any]:
    """Yield all equations of a program and of those within it."""
    for equation in jaxpr.eqns:
        yield equation
        yield from equations_within(equation)


def equations_within(equation: Any) -> Iterator[Any]:
    """Yield all equations of the programs within an equation."""
    for program in programs_in(tuple(equation.params.values())):
        yield from equations_of(bare(program))


def programs_in(value: Any) -> Iterator[Any]:
    """Yield the programs among the parameters of an operation, closed ones as they are."""
    if hasattr(bare(value), "eqns"):
        yield value
    elif isinstance(value, (tuple, list)):
        for each in value:
            yield from programs_in(each)
