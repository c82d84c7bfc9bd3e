"""What all commands share: output to a terminal or a pipe, and errors on one line."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

import click

import gridax as gx
from gridax._text import one_line

if TYPE_CHECKING:  # rich takes a while to import
    from rich.console import Console

Command = TypeVar("Command", bound=Callable[..., Any])

# Columns without a terminal, so that the text in a pipe does not depend on the window.
WIDTH = 80
# Exit code after Ctrl-C, by the convention of shells.
INTERRUPTED = 130


def console() -> Console:
    """Return standard output, which prints text without interpreting markup."""
    from rich.console import Console

    stream = Console(markup=False, highlight=False, emoji=False)
    if not stream.is_terminal and "COLUMNS" not in os.environ:
        stream.width = WIDTH
    return stream


def note(text: str) -> None:
    """Print a note on standard error, for what a user should know although nothing failed."""
    click.echo(f"Note: {one_line(text)}", err=True)


@contextlib.contextmanager
def opened(path: str) -> Iterator[gx.Result]:
    """Open a file, folder or URL given on the command line, and close it at the end."""
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
    try:
        return gx.open_result(path)
    except Exception as error:
        if "://" not in path or isinstance(error, ImportError | OSError | ValueError):
            raise
        # fsspec's file systems raise errors of their own.
        raise ValueError(f"{path!r} cannot be opened ({type(error).__name__}: {error})") from error


def reported_as(exit_code: int) -> Callable[[Command], Command]:
    """Return a decorator that makes a command report errors of the user's as one line.

    The line is on standard error. Other errors are bugs of gridax and keep their traceback.
    """

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def run(*args: Any, **kwargs: Any) -> Any:
            try:
                return command(*args, **kwargs)
            except BrokenPipeError:  # as with `| head`; click exits silently
                raise
            except (ImportError, MemoryError, OSError, ValueError) as error:
                exception = click.ClickException(_line(error))
                exception.exit_code = exit_code  # type: ignore[misc]  # as click's docs do
                raise exception from error

        return run  # type: ignore[return-value]

    return decorate


reported = reported_as(1)


def _line(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{os.fspath(error.filename)!r}: {error.strerror}"
    return one_line(str(error)) or type(error).__name__


def examples(*lines: str) -> str:
    """Return the examples at the end of a help text, marked so that click does not wrap them."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)
