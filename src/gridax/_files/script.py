"""The program that runs, and the commit of the repository that it is in."""

from __future__ import annotations

import contextlib
import functools
import os
import re
import shutil
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
# Settings of a repository that name programs which git runs on the content of files.
_FILTERS = r"^filter\..*\.(clean|process|required)$"
# Where macOS has its developer tools; without them, its git is a stub that offers to install them.
_DEVELOPER_TOOLS = ("/Library/Developer/CommandLineTools", "/Applications/Xcode.app")
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
    environment |= {
        "GIT_TERMINAL_PROMPT": "0",
        "LC_ALL": "C",
        # Objects that a partial clone lacks are not fetched, which would start a program.
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_ALLOW_PROTOCOL": "none",
    }
    program, text = _git(), ""
    with contextlib.suppress(OSError, ValueError, subprocess.SubprocessError):
        if program is not None:
            command = (program, *_SAFELY, "-C", folder)
            environment |= _without_filters(command, environment)
            status = _run((*command, *_STATUS), environment)
            text = status.stdout if status.returncode == 0 else ""
    commit = _COMMIT.search(text)
    if commit is None:
        return {}
    is_dirty = any(line and not line.startswith("#") for line in text.splitlines())
    # A number, because xarray cannot write a bool to a netCDF file.
    return {"git_commit": commit[1], "git_dirty": int(is_dirty)}


def _git() -> str | None:
    """Return the path of git, if it is installed; never a program in the current folder."""
    if sys.platform == "win32":
        os.environ.setdefault("NoDefaultCurrentDirectoryInExePath", "1")
    found = shutil.which("git")
    is_stub = sys.platform == "darwin" and found == "/usr/bin/git"
    if found is None or (is_stub and not any(map(os.path.exists, _DEVELOPER_TOOLS))):
        return None
    # A relative folder on the path would name a program of the current folder.
    return found if os.path.isabs(found) else None


def _without_filters(command: tuple[str, ...], environment: dict[str, str]) -> dict[str, str]:
    """Return variables that turn off the filters of a repository, which are programs.

    Raises
    ------
    ValueError
        If the settings of the repository cannot be read.
    """
    listed = _run(
        (*command, "config", "--null", "--name-only", "--get-regexp", _FILTERS), environment
    )
    if listed.returncode not in (0, 1):  # 1: there are none
        raise ValueError("the settings of the repository cannot be read")
    off: dict[str, str] = {}
    names = list(dict.fromkeys(listed.stdout.split("\0")[:-1]))
    first = int(environment.get("GIT_CONFIG_COUNT") or 0)  # after settings of the user's
    for i, name in enumerate(names, first):
        off[f"GIT_CONFIG_KEY_{i}"] = name
        off[f"GIT_CONFIG_VALUE_{i}"] = "false" if name.endswith(".required") else ""
    return {**off, "GIT_CONFIG_COUNT": str(first + len(names))}


def _run(command: tuple[str, ...], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
        timeout=_PATIENCE / 2,
        encoding="utf-8",
        errors="surrogateescape",
    )
