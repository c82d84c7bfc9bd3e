"""The store of a run: opened or created, and compared with what is to be run."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import json
import math
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any

from gridax._disk import check_parent
from gridax._files import describe, restore
from gridax._files.merge import Summary, stored_outputs
from gridax._files.swept import without_swept
from gridax._files.zarr import OpenedStore, create_store, open_store, refuse_existing
from gridax._outputs.template import Template
from gridax._plan import blocks
from gridax._plan.chain import Chain
from gridax._run import differences, fingerprints
from gridax._run.assembly import Assembly
from gridax._run.fingerprints import Parts
from gridax._run.options import Options
from gridax._run.reduced import ReducedAssembly
from gridax._stores.base import STATUS
from gridax._stores.chunking import check_chunks
from gridax._stores.location import Location
from gridax._text import number_of

if TYPE_CHECKING:
    from gridax._stores.zarr import ZarrStore

_MODEL = "model"


class StoredRun:
    """A run whose outputs are kept at a place, where there may be a store already.

    Parameters
    ----------
    location : where.
    options : of the run.
    mine : fingerprints of the points, of everything that is fixed, and of the model's source.
    chain : along which dimension of the space points follow each other, if so.
    """

    def __init__(
        self, location: Location, options: Options, mine: Parts, chain: Chain | None
    ) -> None:
        self._location, self._options, self._mine, self._chain = location, options, mine, chain
        self._name = repr(location.name)
        self._replace = self._warned = False
        self._resumes = True  # unless the store is created
        self._theirs: Parts | None = None
        self.template: Template | None = None
        self.summary: Summary | None = None  # of a reduced run
        self._opened: OpenedStore | None = None
        self._store: ZarrStore | None = None

    def open(self) -> bool:
        """Open the store if there is one to resume, and return whether there is.

        Raises
        ------
        FileExistsError
            If something else is at the place, or the store must not be resumed.
        ValueError
            If it is damaged, or holds another sweep; the message says what differs.
        """
        if self._theirs is not None:
            return True
        if not self._location.exists():
            return False
        if self._options.overwrite:
            refuse_existing(self._location, overwrite=True)
            self._replace = True
            return False
        opened = self._read()
        if self._options.resume is False:
            raise FileExistsError(
                f"{self._name} exists and resume=False was given; resume it, start over with "
                "overwrite=True, or give another store="
            )
        self._compare(opened)
        return True

    def _read(self) -> OpenedStore:
        advice = "it is left untouched, even with overwrite=True; give another store="
        try:
            opened = open_store(self._location)
        except ValueError as error:
            raise FileExistsError(
                f"{self._name} is not a gridax store ({error}): {advice}"
            ) from error
        if not describe.is_result(opened.dataset):
            raise FileExistsError(
                f"{self._name} is a Zarr store that gridax did not write: {advice}"
            )
        return opened

    def _compare(self, opened: OpenedStore) -> None:
        try:
            _, template = restore.read(*without_swept(opened.dataset))
            self.summary = Summary.read(opened.dataset.attrs)
            theirs = fingerprints.read(opened.dataset.attrs)
            if not opened.is_run:
                raise ValueError("it is a saved result, not the store of a run")
        except ValueError as error:
            raise ValueError(
                f"cannot resume {self._name}: {error}; start over with overwrite=True, or give "
                "another store="
            ) from error
        problem = differences.of_sweeps(theirs, self._mine)
        if problem:
            raise self._another_sweep(problem, theirs)
        self._opened, self._theirs, self.template = opened, theirs, template

    def _another_sweep(self, problem: str, theirs: Parts) -> ValueError:
        extends = ""
        if differences.only_points_differ(theirs, self._mine):
            extends = f" (add extend={self._name} to compute only the points that are new)"
        return ValueError(
            f"cannot resume {self._name}, which holds another sweep: {problem}. Give another "
            f"store={extends}, or start over with overwrite=True"
        )

    def create(
        self,
        assembly: Assembly | ReducedAssembly,
        wish: Callable[[], blocks.Wish],
        before: str = "",
    ) -> None:
        """Create the store; if another process was faster, resume the one that it created.

        Parameters
        ----------
        assembly : labels of the outputs.
        wish : returns what is known about good blocks.
        before : the history of the result that is extended.
        """
        outputs = assembly.outputs
        if self._options.block is None:
            _, n_shards = self._options.shard or (0, 1)
            nbytes = sum(output.nbytes for output in outputs)
            suited = dataclasses.replace(wish(), nbytes=nbytes)
            least = blocks.MANY if self._options.order == "coarse" else 1
            block = blocks.shape(assembly.grid, suited, n_shards, least)
        else:
            block = assembly.block(self._options.block)
            if self._chain is not None:
                block = self._along_chains(self._chain, block, assembly)
        check_chunks(block, outputs)
        dataset = assembly.skeleton({**self._mine, "template": assembly.fingerprints}, before)
        if not create_store(self._location, dataset, outputs, block, self._replace):
            self._replace = False
            resume = self._options.resume or True
            self._options = dataclasses.replace(self._options, overwrite=False, resume=resume)
            self.open()
            return
        self._compare(open_store(self._location))
        self._resumes = False

    def _along_chains(
        self, chain: Chain, block: tuple[int, ...], assembly: Assembly | ReducedAssembly
    ) -> tuple[int, ...]:
        """Return a shape of blocks that the user gave as one of chains."""
        if isinstance(assembly, Assembly):
            return chain.fitting(block, assembly.grid)
        dim = assembly.reduced.cells.grid.index(chain.dim)
        if block[dim] < assembly.grid[dim]:
            raise ValueError(
                f"block= divides the dimension along which points follow each other into blocks of "
                f"{block[dim]} labels, but with reduce= what is carried is not stored; leave this "
                "dimension out of block="
            )
        return block

    def check_outputs(
        self, assembly: Assembly | ReducedAssembly, names: Collection[str] | None = None
    ) -> None:
        """Reject outputs and coordinates, of some names or all, that differ from the store's."""
        assert self._theirs is not None
        there, here = self._theirs["template"], assembly.fingerprints
        if names is not None:
            there, here = ({k: v for k, v in side.items() if k in names} for side in (there, here))
        problem = differences.of_templates({"template": there}, here)
        if problem:
            raise self._another_sweep(problem, self._theirs)

    def check_program(self, program: str | None) -> None:
        """Reject a store that was begun with another model, unless ``resume="force"``.

        Parameters
        ----------
        program : fingerprint of the traced model, or None if it is never traced.
        """
        mine = self._mine[_MODEL]
        mine["program"] = program
        if not (mine["version"] or self._warned):
            self._warned = True
            unknown = [] if program else mine["unknown"]
            fingerprints.warn_of_unknown([*self._mine["unknown"], *unknown])
        if self._theirs is None:  # the store is yet to be created
            return
        theirs = self._theirs[_MODEL]
        if differences.same_model(theirs, mine):
            return
        if self._options.resume != "force":
            difference = differences.of_models(theirs, mine)
            raise ValueError(
                f"cannot resume {self._name}, which was begun with another model ({difference}). "
                "Pass resume='force' to continue with this model, which the store then records, or "
                "start over with overwrite=True. To decide yourself which models count as the "
                "same, pass version= from the first run on"
            )
        self._record_model(theirs, mine)

    def _record_model(self, theirs: dict[str, Any], mine: dict[str, Any]) -> None:
        """Write into the store that it continues with another model."""
        from gridax._stores.format import set_attributes

        assert self._opened is not None
        before = json.loads(self._opened.dataset.attrs.get("gridax_resumed", "[]"))
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        self._theirs = {**(self._theirs or {}), _MODEL: mine}
        set_attributes(
            self._location,
            {
                "gridax_resumed": json.dumps([*before, {"when": now, "model_before": theirs}]),
                fingerprints.ATTRIBUTE: json.dumps(self._theirs),
            },
        )

    def store(self) -> ZarrStore:
        """Return the store, ready to be written to."""
        if self._store is None:
            from gridax._stores.zarr import ZarrStore  # zarr is slow to import

            assert self.template is not None
            assert self._opened is not None
            outputs = self.template.outputs
            if self.summary is not None:
                outputs = stored_outputs(self.summary, self._opened)
            chain = self._chain
            if chain is not None and self.summary is not None:
                chain = chain.numbered(self.summary.cells.grid)
            options = dataclasses.replace(self._options.for_store(), chain=chain)
            if chain is not None:
                self._check_shard(chain, options.shard)
            self._store = ZarrStore(self._location, self._opened.names, outputs, options)
        return self._store

    def _check_shard(self, chain: Chain, shard: tuple[int, int]) -> None:
        """Reject shards among which chains cannot be divided."""
        assert self._opened is not None
        status = self._opened.dataset[STATUS].variable
        chunks = self._opened.header.arrays[STATUS].chunks
        n_groups = sum(1 for _ in blocks.grouped(status.shape, chunks, chain))
        if shard[1] > n_groups:
            others = [str(dim) for k, dim in enumerate(status.dims) if k != chain.dim]
            raise ValueError(
                f"shard={shard}: points along {status.dims[chain.dim]!r} follow each other, so "
                f"only {', '.join(others) or 'other dimensions'} can be divided, which has "
                f"{n_groups} block(s); use fewer shards, or smaller blocks"
            )

    def lock(self) -> contextlib.AbstractContextManager[Any]:
        """Return a context that keeps other writers of the same blocks away, where possible."""
        from gridax._stores.folder import Folder
        from gridax._stores.lock import Lock

        if not isinstance(self._location, Folder):
            return contextlib.nullcontext()
        check_parent(self._location.path)
        return Lock(self._location.path, self._options.shard or (0, 1))

    def tidy(self, lock: Any) -> None:
        """Remove what killed writers have left behind, unless another process is writing."""
        since = None if lock is None else lock.alone_since()
        if since is not None:
            self._location.tidy(since)

    def note_resumption(self, lock: Any, n_left: int) -> None:
        """Add a line to the history of a store that existed before, once, with the points to do.

        Not while another process writes to it: each would replace what the other one notes.
        """
        from gridax._stores.format import set_attributes

        if not self._resumes:
            return
        self._resumes = False
        is_alone = self._options.shard is None if lock is None else lock.alone_since() is not None
        if not is_alone:
            return
        assert self._opened is not None
        history = str(self._opened.dataset.attrs.get("history", ""))
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        what = f"resumed with {number_of(n_left, 'point')} left"
        with contextlib.suppress(OSError):  # the run can go on without the note
            set_attributes(self._location, {"history": describe.with_line(history, now, what)})

    def how_to_resume(self) -> str:
        """Return a note that says what is saved and how to continue."""
        saved, total = self.store().saved()
        if self.summary is not None:  # these are cells, of about as many points each
            n_points = math.prod(self.summary.cells.sizes)
            saved, total = saved * n_points // max(1, total), n_points
        return (
            f"{saved} of {total} points are saved in {self._name}; call run(store={self._name}) "
            "again to resume"
        )
