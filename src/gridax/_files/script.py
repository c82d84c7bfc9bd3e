"""The program that runs, and the commit of the repository that it is in."""

from __future__ import annotations

import contextlib
import functools
import os
import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

# Seconds until git is given up, as on a slow network file system.
_PATIENCE = 1.0
# A repository must not be able to run programs of its own, nor to be changed.
_SAFELY = (
    "--no-optional-locks",
    "--no-pager",
    *("-c", "core.fsmonitor=false"),
    *("-c", "core.hooksPath=/dev/null"),
)
_STATUS = (
    "status",
    "--porcelain=v2",
    "--branch",
    "--untracked-files=no",
    "--ignore-submodules=all",
)
# Set while git itself runs a program such as a hook, these name its repository.
_OF_ANOTHER = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_PREFIX")
_COMMIT = re.compile(r"^# branch\.oid ([0-9a-f]{40,64})$", re.MULTILINE)


def begin() -> None:
    """Start to look up the commit, while the model is traced and compiled."""
    _lookup()


def attributes() -> dict[str, Any]:
    """Return the name of the script, its commit, and whether files differ from that commit.

    What is not known is left out. The commit is looked up once, when the first run starts: code
    that was imported does not change afterwards.
    """
    thread, commit = _lookup()
    if thread.ident is not None:  # it was started
        thread.join(_PATIENCE)
    script = name()
    return {**({"script": script} if script else {}), **commit}


@functools.cache
def _lookup() -> tuple[threading.Thread, dict[str, Any]]:
    commit: dict[str, Any] = {}
    folder = _folder()
    thread = threading.Thread(
        target=lambda: commit.update(commit_of(folder)), name="gridax-git", daemon=True
    )
    with contextlib.suppress(RuntimeError):  # at exit, and where no more threads are allowed
        thread.start()
    return thread, commit


def name() -> str:
    """Return the name of the script, module or notebook that runs; empty in an interactive one.

    It is without its folder, so that a file does not tell where its author keeps things.
    """
    main = sys.modules.get("__main__")
    spec, file = getattr(main, "__spec__", None), getattr(main, "__file__", None)
    notebook = os.environ.get("JPY_SESSION_NAME", "")  # as Jupyter tells its kernels
    if "ipykernel" in sys.modules and notebook:
        return os.path.basename(notebook)
    if spec is not None and spec.name:
        return f"-m {spec.name.removesuffix('.__main__')}"
    return os.path.basename(file or "")


def _folder() -> str:
    """Return the folder of the script; for a program that is installed, the current one."""
    file = getattr(sys.modules.get("__main__"), "__file__", None)
    if file is None:
        return os.curdir
    script = Path(file).absolute()
    gridax = Path(__file__).absolute().parents[1]
    is_installed = any(script.is_relative_to(folder) for folder in (sys.prefix, gridax))
    return os.curdir if is_installed else str(script.parent)


def commit_of(folder: str) -> dict[str, Any]:
    """Return the commit that is checked out in a folder, and whether tracked files were changed.

    Empty outside of a repository, without git, and in the repository of another user, which git
    itself refuses to read.
    """
    environment = {k: v for k, v in os.environ.items() if k not in _OF_ANOTHER}
    environment |= {"GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
    text = ""
    with contextlib.suppress(OSError, ValueError, subprocess.SubprocessError):
        run = subprocess.run(
            ["git", *_SAFELY, "-C", folder, *_STATUS],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            timeout=_PATIENCE,
            encoding="utf-8",
            errors="replace",
        )
        text = run.stdout if run.returncode == 0 else ""
    commit = _COMMIT.search(text)
    if commit is None:
        return {}
    is_dirty = any(line and not line.startswith("#") for line in text.splitlines())
    # A number, because xarray cannot write a bool to a netCDF file.
    return {"git_commit": commit[1], "git_dirty": int(is_dirty)}
