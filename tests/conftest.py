"""The world the tests run in: several simulated CPU devices, and nothing let pass silently."""

from __future__ import annotations

import collections
import os
import signal
import sys
from collections.abc import Iterator
from types import TracebackType

# Figures go to files, in the examples that tests start as processes too.
os.environ["MPLBACKEND"] = "Agg"

import hypothesis
import jax
import pytest

# Read once, when JAX starts: hence here, before any test module is imported.
jax.config.update("jax_num_cpu_devices", 4)
# An operation that stretches a vector over a matrix is a bug more often than a wish.
jax.config.update("jax_numpy_rank_promotion", "raise")
# JAX_PLATFORMS=cuda,cpu runs the suite on a GPU.
if not jax.config.jax_platforms:
    jax.config.update("jax_platforms", "cpu")

# No deadline: the first example of a property compiles, the others do not.
for name, n in ("quick", 10), ("usual", 25):
    hypothesis.settings.register_profile(
        name, max_examples=n, deadline=None, derandomize=True, database=None
    )
hypothesis.settings.register_profile("thorough", max_examples=500, deadline=None)

# A suite that runs in the background or under nohup ignores Ctrl-C, and whatever it starts would
# ignore it too. A function that does nothing also ignores it, but is not inherited.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, lambda number, frame: None)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "sampled(n): of the parameters of this test, only every n-th is not slow"
    )
    is_quick = "not slow" in config.option.markexpr
    profile = os.environ.get("HYPOTHESIS_PROFILE", "quick" if is_quick else "usual")
    hypothesis.settings.load_profile(profile)
    # How long compiling takes is up to the machine; `test_recompiling` tests the hint.
    config.addinivalue_line("filterwarnings", "ignore:the model .* was compiled as")
    _keep_what_is_compiled(config)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark most parameters of the tests that have too many for the quick tier."""
    seen: collections.Counter[str] = collections.Counter()
    for item in items:
        if sampled := item.get_closest_marker("sampled"):
            name = item.nodeid.partition("[")[0]
            if seen[name] % sampled.args[0]:
                item.add_marker("slow")
            seen[name] += 1


def _keep_what_is_compiled(config: pytest.Config) -> None:
    """Keep what is compiled for the next run, in pytest's own cache.

    Every worker of pytest-xdist has a folder of its own, because JAX does not write its files
    atomically. For that reason a file may also be truncated, if a run was killed: JAX then warns
    and compiles.
    """
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    folder = config.cache.mkdir(f"jax-{worker}")
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    config.addinivalue_line(
        "filterwarnings", "ignore:Error reading persistent compilation cache entry"
    )


# Names of the functions that XLA compiled in this process. JAX cannot take back a listener by a
# public name in every version that gridax supports, so there is one, for good.
_compiled: list[str] = []


def _on_duration(event: str, duration_s: float, **about: object) -> None:
    if event == "/jax/core/compile/backend_compile_duration":
        _compiled.append(str(about.get("fun_name", "")))


jax.monitoring.register_event_duration_secs_listener(_on_duration)


class Compilations:
    """What XLA compiled inside a ``with`` block (so far, while the block is open)."""

    def __init__(self) -> None:
        self._block = slice(0, 0)

    def __enter__(self) -> Compilations:
        self._block = slice(len(_compiled), None)
        return self

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._block = slice(self._block.start, len(_compiled))

    @property
    def names(self) -> list[str]:
        return _compiled[self._block]

    @property
    def count(self) -> int:
        return len(self.names)

    def __repr__(self) -> str:
        return f"Compilations({self.names})"


@pytest.fixture
def compilations() -> Compilations:
    """Count compilations: ``with compilations: …`` and then ``compilations.count``."""
    return Compilations()


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("gpu") and jax.default_backend() == "cpu":
        pytest.skip("needs an accelerator (run with JAX_PLATFORMS=cuda,cpu)")


@pytest.fixture
def rank_promotion() -> Iterator[None]:
    """Allow what NumPyro does to sample distributions with a batch shape."""
    with jax.numpy_rank_promotion("allow"):
        yield


@pytest.fixture(autouse=True)
def _no_plans_of_earlier_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no sweep begin with a plan that an earlier run of the tests found to be fast."""
    monkeypatch.setattr("gridax._kernel.tuners.are_kept", lambda: False)


@pytest.fixture(autouse=True)
def _close_figures() -> Iterator[None]:
    """Leave no figure open to the next test, without importing matplotlib for it."""
    yield
    if pyplot := sys.modules.get("matplotlib.pyplot"):
        pyplot.close("all")
