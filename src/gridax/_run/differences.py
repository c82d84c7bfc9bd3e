"""How two sweeps differ, according to their fingerprints, in the words of a message."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from gridax._run.fingerprints import PARTITIONABLE, Parts

_SHOWN_DIGEST = re.compile(r"(, values)? with digest \w+")


def of_sweeps(stored: Parts, mine: Parts) -> str | None:
    """Say how another space or fixed value differs, with both shown, or return None."""
    settings = of_settings(stored, mine)
    if settings:
        return settings
    if stored["dims"] != mine["dims"]:
        return (
            f"its space has the dimensions {_sizes(stored['dims'])}, but this one has "
            f"{_sizes(mine['dims'])}"
        )
    axes = _first(stored["axes"], mine["axes"], "the axis")
    unknown = mine["containers"] if "containers" not in stored else ()  # to an older version
    fixed = {name: pair for name, pair in mine["fixed"].items() if name not in unknown}
    return (
        axes
        or of_fixed(stored["fixed"], fixed)
        or of_derivatives(stored, mine)
        or of_reductions(stored, mine)
    )


def of_settings(stored: Parts, mine: Parts) -> str | None:
    """Say how settings of JAX differ that change numbers, or return None."""
    if stored.get("x64", mine["x64"]) != mine["x64"]:
        there, here = ("64" if side["x64"] else "32" for side in (stored, mine))
        return f"its numbers have {there} bits, but JAX would use {here} here (jax_enable_x64)"
    drawn = stored.get("partitionable", mine["partitionable"])
    if drawn != mine["partitionable"]:
        return (
            f"its random numbers were drawn with {PARTITIONABLE}={drawn}, which is "
            f"{mine['partitionable']} here"
        )
    return None


def only_points_differ(stored: Parts, mine: Parts) -> bool:
    """Whether two sweeps differ by their axes and not by what is computed at a point."""
    leaves = [{**side["axes"], **side["fixed"]}.keys() for side in (stored, mine)]
    are_same = stored["dims"] == mine["dims"] and stored["axes"] == mine["axes"]
    if are_same or leaves[0] != leaves[1]:
        return False
    fixed = {k: v for k, v in stored["fixed"].items() if k in mine["fixed"]}
    same = {name: mine[name] for name in ("dims", "axes")}
    return of_sweeps({**stored, **same, "fixed": {**mine["fixed"], **fixed}}, mine) is None


def of_derivatives(stored: Parts, mine: Parts) -> str | None:
    """Say how other derivatives differ, with both shown, or return None."""
    there, here = (side.get("derivatives") or [] for side in (stored, mine))
    if there == here:
        return None
    texts = [f"derivatives={names}" if names else "no derivatives" for names in (there, here)]
    return f"it has {texts[0]}, but this run has {texts[1]}"


def of_reductions(stored: Parts, mine: Parts) -> str | None:
    """Say how another reduction differs, with both shown, or return None."""
    there, here = (side.get("reduce") or ["", ""] for side in (stored, mine))
    if there[0] == here[0]:
        return None
    if there[1] == here[1]:
        return f"a function in reduce= differs: {here[1]}"
    texts = [f"reduced by {text}" if text else "not reduced" for _, text in (there, here)]
    return f"its outputs are {texts[0]} there, and {texts[1]} here"


def of_fixed(stored: Mapping[str, Any], mine: Mapping[str, Any]) -> str | None:
    """Say how another fixed value differs, with both shown, or return None."""
    return _first(stored, mine, "the fixed value")


def same_model(
    stored: Mapping[str, Any], mine: Mapping[str, Any], has_same_inputs: bool = True
) -> bool:
    """Whether two models are the same: by their versions, traced programs, or sources.

    If other leaves are axes, the same source may be traced to another program.
    """
    if stored.get("version") or mine.get("version"):
        return stored.get("version") == mine.get("version")
    there, here = (side.get("choices") or {} for side in (stored, mine))
    has_other_choices = there.keys() != here.keys()
    if _are_traced(stored, mine):
        if stored["program"] == mine["program"]:
            return True
        # With another version of JAX, or other choices, the same source is another program.
        may_differ = has_other_choices or stored.get("jax") != mine.get("jax")
        may_differ = may_differ or not has_same_inputs
        if not may_differ or stored.get("unknown") or mine.get("unknown"):
            return False
    if has_other_choices:
        in_common = there.keys() & here.keys()
        is_same = stored.get("without_choices") == mine.get("without_choices")
        return is_same and all(there[name] == here[name] for name in in_common)
    return stored.get("source") == mine.get("source") and not _other_libraries(stored, mine)


def of_models(stored: Mapping[str, Any], mine: Mapping[str, Any]) -> str:
    """Say how two models differ."""
    if stored.get("version") or mine.get("version"):
        return f"version {stored.get('version')!r} there, {mine.get('version')!r} here"
    if stored.get("source") is None:
        return "an older version of gridax recorded it in a way that cannot be compared"
    versions = _other_libraries(stored, mine)
    if not _are_traced(stored, mine) and stored.get("source") == mine.get("source") and versions:
        return "; ".join(_versions(versions))
    part = "the traced program" if _are_traced(stored, mine) else "the source"
    jax_versions = stored.get("jax"), mine.get("jax")
    other = {"JAX": jax_versions} if jax_versions[0] != jax_versions[1] else {}
    return "; ".join([f"{part} differs", *_versions(other)])


def _are_traced(stored: Mapping[str, Any], mine: Mapping[str, Any]) -> bool:
    return bool(stored.get("program") and mine.get("program"))


def _other_libraries(
    stored: Mapping[str, Any], mine: Mapping[str, Any]
) -> dict[str, tuple[Any, Any]]:
    there, here = stored.get("libraries", {}), mine.get("libraries", {})
    pairs = {name: (there.get(name), here.get(name)) for name in {**there, **here}}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def _versions(pairs: Mapping[str, tuple[Any, Any]]) -> list[str]:
    return [f"{name} is {there} there and {here} here" for name, (there, here) in pairs.items()]


def of_templates(stored: Parts, mine: Mapping[str, list[str]]) -> str | None:
    """Say how other outputs differ, with both shown, or return None."""
    return _first(stored["template"], mine, "the output")


def _first(stored: Mapping[str, Any], mine: Mapping[str, Any], what: str) -> str | None:
    for name in {**stored, **mine}:
        there, here = stored.get(name), mine.get(name)
        if here is None:
            return f"{what} {name!r} is only there: {stored[name][1]}"
        if there is None:
            return f"{what} {name!r} is only here: {here[1]}"
        if not there[0]:  # its digest cannot be compared
            there, here = (["", _SHOWN_DIGEST.sub("", text)] for _, text in (there, here))
            differ = there[1] != here[1]
        else:
            differ = there[0] != here[0]
        if differ:
            if there[1] == here[1]:  # they differ in what is not shown
                there, here = ([d, f"{text} with digest {d}"] for d, text in (there, here))
            return f"{what} {name!r} is {there[1]} there and {here[1]} here"
    return None


def _sizes(dims: Any) -> str:
    return "(" + ", ".join(f"{dim}: {size}" for dim, size in dims) + ")"
