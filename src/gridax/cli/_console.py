"""What all commands share: the two streams of a terminal, and errors in a line."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

import gridax as gx
from gridax._text import one_line

if TYPE_CHECKING:  # they take a while to import
    import xarray as xr
    from rich.console import Console

Command = TypeVar("Command", bound=Callable[..., Any])

# Columns where there is no terminal, so that a pipe gets the same text whatever its window.
WIDTH = 80
# Exit code after Ctrl-C, as shells have it.
INTERRUPTED = 130
# Which extra of gridax brings a package.
EXTRAS = {"matplotlib": "plot", "bokeh": "explore", "panel": "explore"}


def console(stderr: bool = False) -> Console:
    """Return standard output, or standard error; text is shown as it is."""
    from rich.console import Console

    found = Console(stderr=stderr, markup=False, highlight=False, emoji=False)
    if not found.is_terminal and "COLUMNS" not in os.environ:
        found.width = WIDTH
    return found


def note(text: str) -> None:
    """Say on standard error what a user should know, though it is no error."""
    click.echo(f"Note: {one_line(text)}", err=True)


@contextlib.contextmanager
def opened(path: str) -> Iterator[gx.Result]:
    """Open the file, folder or URL that was named on the command line, and close it at the end."""
    result = _open(path)
    try:
        yield result
    except RuntimeError as error:
        if not str(error).startswith("NetCDF: "):
            raise
        raise OSError(f"{path!r} is damaged ({error})") from error
    finally:
        result.dataset.close()


def _open(path: str) -> gx.Result:
    if "://" not in path:
        return gx.open_result(path)
    try:
        return gx.open_result(path)
    except (ImportError, OSError, ValueError):
        raise
    except Exception as error:  # each kind of bucket has errors of its own
        raise ValueError(f"{path!r} cannot be opened ({type(error).__name__}: {error})") from error


def outputs(result: gx.Result) -> dict[str, xr.DataArray]:
    """Return what the model returned, without the variables that say how the run went."""
    states = ("status", "error")
    return {str(n): v for n, v in result.dataset.data_vars.items() if n not in states}


def reported(command: Command) -> Command:
    """Let a command end with one line on standard error where a file or a name is wrong.

    Other errors are ours, and keep their traceback.
    """

    @functools.wraps(command)
    def run(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except BrokenPipeError:  # such as `| head`, which click ends silently
            raise
        except (ImportError, MemoryError, OSError, ValueError) as error:
            raise click.ClickException(_line(error)) from error

    return run  # type: ignore[return-value]


def _line(error: BaseException) -> str:
    if isinstance(error, ImportError):
        package = (error.name or "").partition(".")[0]
        if package in EXTRAS:
            return f"{package} is not installed: pip install 'gridax[{EXTRAS[package]}]'"
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{os.fspath(error.filename)!r}: {error.strerror}"
    return one_line(str(error)) or type(error).__name__


def examples(*lines: str) -> str:
    """Return the end of a help text: commands to copy, which click shall not wrap."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


def listed(names: Sequence[Any], most: int = 8) -> str:
    """Return names with commas; the end of a long list is left out.

    Examples
    --------
    >>> listed(["G", "sigma"]), listed(range(100), most=3)
    ('G, sigma', '0, 1, 2, …')
    """
    return ", ".join([*map(str, names[:most]), *(["…"] if len(names) > most else [])])
