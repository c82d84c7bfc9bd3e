"""The script and the commit that a result names."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import gridax as gx
from gridax._files import script
from gridax._files.script import commit_of

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=Ann", "-c", "user.email=ann@example.org"]
    command = ["git", *identity, "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    git(folder, "init", "--quiet")
    (folder / "sweep.py").write_text("x = 1\n")
    git(folder, "add", "sweep.py")
    git(folder, "commit", "--quiet", "-m", "first")
    return folder


def test_a_commit_is_found_and_only_changes_of_tracked_files_make_it_dirty(
    repository: Path,
) -> None:
    head = git(repository, "rev-parse", "HEAD")
    assert commit_of(str(repository)) == {"git_commit": head, "git_dirty": 0}
    (repository / "result.nc").write_text("not tracked")
    (repository / "inner").mkdir()
    assert commit_of(str(repository / "inner")) == {"git_commit": head, "git_dirty": 0}
    (repository / "sweep.py").write_text("x = 2\n")
    assert commit_of(str(repository)) == {"git_commit": head, "git_dirty": 1}
    git(repository, "add", "sweep.py")
    assert commit_of(str(repository)) == {"git_commit": head, "git_dirty": 1}


def test_outside_of_a_repository_there_is_no_commit(
    tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert commit_of(str(tmp_path)) == {}
    assert commit_of(str(tmp_path / "nowhere")) == {}
    monkeypatch.setenv("GIT_DIR", str(repository / ".git"))  # as within a hook of another one
    assert commit_of(str(tmp_path)) == {}


def test_a_repository_without_a_commit_has_none(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    assert commit_of(str(tmp_path)) == {}


def test_without_git_there_is_no_commit(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(repository))
    assert commit_of(str(repository)) == {}


def test_the_repository_of_another_user_is_not_read(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    assert commit_of(str(repository)) == {}


def test_a_repository_runs_nothing_and_is_not_changed(repository: Path) -> None:
    (repository / "other.py").write_text("x = 1\n")
    git(repository, "add", "other.py")
    git(repository, "commit", "--quiet", "-m", "second")
    trap = repository / "trap"
    trap.write_text(f"#!/bin/sh\ntouch {repository}/sprung\n")
    trap.chmod(0o755)
    hook = repository / ".git" / "hooks" / "post-index-change"
    hook.parent.mkdir(exist_ok=True)
    shutil.copy(trap, hook)
    for name in ("core.fsmonitor", "core.pager", "pager.status"):
        git(repository, "config", name, str(trap))
    for setting in ("clean", "process"):
        git(repository, "config", f"filter.{setting}.{setting}", str(trap))
        git(repository, "config", f"filter.{setting}.required", "true")
    lines = "sweep.py filter=clean\nother.py filter=process\n"
    (repository / ".git" / "info").mkdir(exist_ok=True)
    (repository / ".git" / "info" / "attributes").write_text(lines)
    os.utime(repository / "sweep.py", (1, 1))  # git would note in its index that nothing changed
    os.utime(repository / "other.py", (1, 1))
    index = (repository / ".git" / "index").read_bytes()
    assert commit_of(str(repository))["git_dirty"] == 0
    assert (repository / ".git" / "index").read_bytes() == index
    assert not (repository / "sprung").exists()


def test_settings_of_the_user_in_the_environment_are_kept(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(repository, "config", "filter.other.clean", "cat")
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "safe.directory")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "*")
    assert commit_of(str(repository))["git_dirty"] == 0
    command = ("git", "-C", str(repository))
    off = script._without_filters(command, dict(os.environ))
    assert off == {
        "GIT_CONFIG_COUNT": "2",
        "GIT_CONFIG_KEY_1": "filter.other.clean",
        "GIT_CONFIG_VALUE_1": "",
    }


def test_a_partial_clone_fetches_nothing(repository: Path) -> None:
    trap = f"touch {repository}/sprung; false"
    for setting, value in {
        "core.sshCommand": trap,
        "remote.origin.url": "ssh://example.org/project",
        "remote.origin.promisor": "true",
        "extensions.partialClone": "origin",
        "core.repositoryFormatVersion": "1",
    }.items():
        git(repository, "config", setting, value)
    tree = git(repository, "rev-parse", "HEAD^{tree}")
    lacking = repository / ".git" / "objects" / tree[:2] / tree[2:]
    lacking.chmod(0o644)
    lacking.unlink()
    commit_of(str(repository))
    assert not (repository / "sprung").exists()


def test_git_of_the_current_folder_and_the_stub_of_macos_are_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(script.shutil, "which", lambda name: f"./{name}")
    assert script._git() is None
    monkeypatch.setattr(script.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(script.sys, "platform", "darwin")
    monkeypatch.setattr(script, "_DEVELOPER_TOOLS", (str(tmp_path / "none"),))
    assert script._git() is None
    monkeypatch.setattr(script, "_DEVELOPER_TOOLS", (str(tmp_path),))
    assert script._git() == "/usr/bin/git"


PROGRAM = """
import json, sys
import gridax as gx

space = gx.Space({"x": gx.GridAxis(0, 1, 3)}, mode="product")
result = gx.SequentialExecution(lambda s: s["x"], space).run(progress=False)
print(json.dumps({name: result.dataset.attrs.get(name) for name in
                  ("script", "git_commit", "git_dirty")}))
"""


@pytest.mark.slow
def test_a_result_names_the_script_and_its_commit(repository: Path, tmp_path: Path) -> None:
    (repository / "sweep.py").write_text(PROGRAM)
    git(repository, "commit", "--quiet", "-am", "second")
    run = subprocess.run(
        [sys.executable, str(repository / "sweep.py")],
        cwd=tmp_path,  # the repository is that of the script, wherever it is started
        check=True,
        capture_output=True,
        text=True,
    )
    head = git(repository, "rev-parse", "HEAD")
    assert json.loads(run.stdout) == {"script": "sweep.py", "git_commit": head, "git_dirty": 0}


def test_a_notebook_is_named_by_what_jupyter_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ipykernel", object())
    monkeypatch.setenv("JPY_SESSION_NAME", "/home/ann/work/sweep.ipynb")
    assert script.name() == "sweep.ipynb"


def test_the_commit_is_looked_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_up: list[str] = []

    def look_up(folder: str) -> dict[str, Any]:
        looked_up.append(folder)
        return {"git_commit": "a" * 40, "git_dirty": 1}

    script._lookup.cache_clear()
    monkeypatch.setattr(script, "commit_of", look_up)
    try:
        for n in (2, 3):
            space = gx.Space({"x": gx.GridAxis(0, 1, n)}, mode="product")
            result = gx.SequentialExecution(lambda s: s["x"], space).run(progress=False)
            assert result.dataset.attrs["git_dirty"] == 1
        assert len(looked_up) == 1
    finally:
        script._lookup.cache_clear()
