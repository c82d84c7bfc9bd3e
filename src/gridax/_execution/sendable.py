"""Errors that can be sent to another process, whatever their class expects."""

from __future__ import annotations

import copyreg
import pickle
from typing import Any

from gridax._text import error_text


def sendable(error: BaseException) -> BaseException:
    """Return an error as it can be sent: itself, if at all possible, or one with the same text.

    Where an error cannot be pickled, its notes are lost; and where it cannot be unpickled, a pool
    of processes takes that for the death of one of them.
    """
    if not _arrives(error):
        # Python calls the class with the message alone, where many classes take more than that, and
        # some of those that say themselves how they are pickled lose their notes.
        copyreg.pickle(type(error), _reduced)
    if _arrives(error):
        return error
    replacement = RuntimeError(error_text(error))
    for note in getattr(error, "__notes__", ()):
        replacement.add_note(note)
    return replacement.with_traceback(error.__traceback__)


def _arrives(error: BaseException) -> bool:
    import cloudpickle

    try:
        copy = pickle.loads(cloudpickle.dumps(error))
        return (str(copy), copy.__dict__.keys()) == (str(error), error.__dict__.keys())
    except Exception:  # whatever the methods of its class may raise
        return False


def _reduced(error: BaseException) -> tuple[Any, ...]:
    return _restored, (type(error), error.args, error.__dict__)


def _restored(
    kind: type[BaseException], args: tuple[Any, ...], attributes: dict[str, Any]
) -> BaseException:
    error = kind.__new__(kind, *args)
    error.__dict__.update(attributes)
    return error
