"""Some outputs of a result: the Dataset without the others, and a description that fits it."""

from __future__ import annotations

import datetime
import json
from collections.abc import Collection
from typing import Any

import xarray as xr

from gridax._files import describe
from gridax._files.merge import ATTRIBUTE as SUMMARY
from gridax._outputs.labels import own_coordinates
from gridax._outputs.template import Template
from gridax._text import listing

# The attribute with the digests of the outputs, among others; see `gridax._run.fingerprints`.
_FINGERPRINTS = "gridax_fingerprints"


def with_outputs(dataset: xr.Dataset, template: Template, names: Collection[str]) -> xr.Dataset:
    """Return the Dataset of a result with some of its outputs, which can be opened as a result.

    Coordinates that only the other outputs have are left out. The history gets a line.

    Parameters
    ----------
    dataset, template : of the whole result.
    names : of the outputs to keep.
    """
    others = [output.name for output in template.outputs if output.name not in names]
    kept = Template(
        tuple(output for output in template.outputs if output.name in names), (), template.treedef
    )
    unused = set(own_coordinates(dataset, template)) - set(own_coordinates(dataset, kept))
    # Values of axes may lie along dimensions that outputs have, too.
    used = {dim for v in dataset.drop_vars([*others, *unused]).variables.values() for dim in v.dims}
    unused = {name for name in unused if not set(dataset.variables[name].dims) & used}
    chosen = dataset.drop_vars([*others, *unused])
    about = _described(dataset.attrs, set(names), set(others) | unused)
    return chosen.assign_attrs(about)


def _described(attrs: Any, names: Collection[str], gone: Collection[str]) -> dict[str, Any]:
    """Return the attributes that describe some outputs."""
    told = json.loads(attrs["outputs"])
    parts, outputs, start = [], [], 0
    for part in told["parts"]:
        of_part = told["outputs"][start : start + len(part["names"])]
        start += len(part["names"])
        kept = [i for i, output in enumerate(of_part) if output["name"] in names]
        if kept:
            parts.append({**part, "names": [part["names"][i] for i in kept]})
            outputs += [of_part[i] for i in kept]
    derivatives = [output for output in told["outputs"][start:] if output["name"] in names]
    if not outputs:  # the derivatives are then what there is
        derivatives = [{k: v for k, v in each.items() if k != "of"} for each in derivatives]
        parts = [
            {"kind": "array", "names": [None], "path": [["dict", each["name"]]]}
            for each in derivatives
        ]
    outputs += derivatives
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    what = f"selected {listing([output['name'] for output in outputs])}"
    about: dict[str, Any] = {
        "outputs": json.dumps({"parts": parts, "outputs": outputs}),
        "history": describe.with_line(str(attrs.get("history", "")), now, what),
    }
    if _FINGERPRINTS in attrs:
        digests = json.loads(attrs[_FINGERPRINTS])
        digests["template"] = {n: v for n, v in digests["template"].items() if n not in gone}
        if digests.get("derivatives") and not any("of" in output for output in outputs):
            digests["derivatives"] = []
            digests["model"]["program"] = None  # which has them
        about[_FINGERPRINTS] = json.dumps(digests)
    if SUMMARY in attrs:
        summary = json.loads(attrs[SUMMARY])
        summary["variables"] = {n: v for n, v in summary["variables"].items() if n in names}
        about[SUMMARY] = json.dumps(summary)
    return about
