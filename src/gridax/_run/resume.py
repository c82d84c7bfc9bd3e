"""The store of a run on a disk: found or made, and compared with what is to be run."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from gridax._files import describe, restore
from gridax._files.zarr import OpenedStore, create_store, open_store, refuse_existing
from gridax._outputs.template import Template
from gridax._plan import blocks
from gridax._run import fingerprints
from gridax._run.assembly import Assembly
from gridax._run.fingerprints import Parts
from gridax._run.options import Options
from gridax._stores.chunking import check_chunks
from gridax._stores.location import Location

if TYPE_CHECKING:
    from gridax._stores.zarr import ZarrStore

_MODEL = "model"


class Kept:
    """A place that holds the store of a run, or will.

    Parameters
    ----------
    location : where.
    options : of the run.
    mine : fingerprints of the space, of all that is fixed, and of the model's source.
    """

    def __init__(self, location: Location, options: Options, mine: Parts) -> None:
        self._location, self._options, self._mine = location, options, mine
        self._replace = False
        self._parts: Parts | None = None
        self.template: Template | None = None
        self._found: OpenedStore | None = None
        self._store: ZarrStore | None = None

    @property
    def _name(self) -> str:
        return repr(self._location.name)

    def open(self) -> bool:
        """Return whether there is a store to go on with.

        Raises
        ------
        FileExistsError
            If something else stands there, or the store shall not be resumed.
        ValueError
            If it is damaged, or holds another sweep, with what differs.
        """
        if self._parts is not None:
            return True
        if not self._location.exists():
            return False
        if self._options.overwrite:
            refuse_existing(self._location, overwrite=True)
            self._replace = True
            return False
        opened = self._opened()
        if self._options.resume is False:
            raise FileExistsError(
                f"{self._name} exists, and resume=False; pass overwrite=True to begin anew"
            )
        self._read(opened)
        return True

    def _opened(self) -> OpenedStore:
        foreign = "so it is left as it is, even with overwrite=True; give another store="
        try:
            opened = open_store(self._location)
        except ValueError as error:
            what = f"{self._name} is no gridax store ({error})"
            raise FileExistsError(f"{what}, {foreign}") from error
        if not describe.is_result(opened.dataset):
            raise FileExistsError(f"{self._name} is a Zarr store, but none of gridax, {foreign}")
        return opened

    def _read(self, opened: OpenedStore) -> None:
        try:
            _, template = restore.read(opened.dataset)
            parts = fingerprints.read(opened.dataset.attrs)
            if not opened.is_run:
                raise ValueError("it is a saved result, and no store of run(store=…)")
        except ValueError as error:
            raise ValueError(
                f"{self._name} cannot be gone on with: {error}. Pass overwrite=True to begin anew"
            ) from error
        problem = fingerprints.difference(parts, self._mine)
        if problem:
            raise self._other(problem)
        self._found, self._parts, self.template = opened, parts, template

    def _other(self, problem: str) -> ValueError:
        return ValueError(
            f"{self._name} holds another sweep: {problem}. Give another store= (with "
            f"extend={self._name} it computes only points that are new), or pass overwrite=True "
            "to begin anew"
        )

    def create(self, assembly: Assembly, wish: Callable[[], blocks.Wish], n_workers: int) -> None:
        """Make the store; if somebody else was quicker, go on with theirs."""
        sizes = assembly.space.sizes
        if self._options.block is None:
            _, n = self._options.shard or (0, 1)
            suited = dataclasses.replace(wish(), nbytes=assembly.template.nbytes)
            block = blocks.shape(tuple(sizes.values()), suited, n * n_workers)
        else:
            block = tuple(self._options.block[dim] for dim in sizes)
        check_chunks(block, assembly.template.outputs)
        dataset = assembly.skeleton({**self._mine, "template": assembly.fingerprints})
        outputs = assembly.template.outputs
        if not create_store(self._location, dataset, outputs, block, self._replace):
            self._replace = False
            self._options = self._options.resumed()
            self.open()
            return
        self._read(open_store(self._location))

    def check_outputs(self, assembly: Assembly) -> None:
        """Refuse other outputs than those in the store."""
        assert self._parts is not None
        problem = fingerprints.template_difference(self._parts, assembly.fingerprints)
        if problem:
            raise self._other(problem)

    def check_model(self, traced: Callable[[], str | None]) -> None:
        """Refuse a finished store of another model; it is traced only if its source differs."""
        assert self._parts is not None
        there, here = self._parts[_MODEL], self._mine[_MODEL]
        if here["version"] or there.get("source") != here["source"]:
            self.check_program(None if here["version"] else traced())

    def check_program(self, program: str | None) -> None:
        """Refuse a store that was begun with another model, unless that is wanted.

        Parameters
        ----------
        program : fingerprint of the traced model, or None if it is never traced.
        """
        here = self._mine[_MODEL]
        here["program"] = program
        if self._parts is None:  # the store is still to be made
            return
        there = self._parts[_MODEL]
        if fingerprints.same_model(there, here):
            return
        if self._options.resume != "force":
            raise ValueError(
                f"{self._name} was begun with another model ({fingerprints.told(there, here)}). "
                "Pass resume='force' to go on with this one, which is noted in the store, or "
                "overwrite=True to begin anew; to say yourself which models are the same, name "
                "them with version= from the start"
            )
        self._note(there, here)

    def _note(self, there: dict[str, Any], here: dict[str, Any]) -> None:
        """Write into the store that it goes on with another model."""
        from gridax._stores.format import set_attributes

        assert self._found is not None
        before = json.loads(self._found.dataset.attrs.get("gridax_resumed", "[]"))
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        self._parts = {**(self._parts or {}), _MODEL: here}
        set_attributes(
            self._location,
            {
                "gridax_resumed": json.dumps([*before, {"when": now, "model_before": there}]),
                fingerprints.ATTRIBUTE: json.dumps(self._parts),
            },
        )

    def store(self) -> ZarrStore:
        """Return the store, ready to be written to."""
        if self._store is None:
            from gridax._stores.zarr import ZarrStore  # zarr takes time to import

            assert self.template is not None
            assert self._found is not None
            names, outputs = self._found.names, self.template.outputs
            self._store = ZarrStore(self._location, names, outputs, self._options.for_store())
        return self._store

    def lock(self) -> contextlib.AbstractContextManager[Any]:
        """Return what keeps other writers of the same blocks away, where a place can."""
        from gridax._stores.folder import Folder
        from gridax._stores.lock import Lock

        if not isinstance(self._location, Folder):
            return contextlib.nullcontext()
        self._location.check_parent()
        return Lock(self._location.path, self._options.shard or (0, 1))

    def tidy(self, lock: Any) -> None:
        """Remove what writers that were killed have left, if nobody else is writing."""
        since = None if lock is None else lock.alone_since()
        if since is not None:
            self._location.tidy(since)

    def how_to_go_on(self) -> str:
        """Say what is kept."""
        done, total = self.store().saved()
        return (
            f"{done} of {total} blocks are kept in {self._name}: run(store={self._name}) goes on "
            "from there"
        )
