from __future__ import annotations

import os
import subprocess
import threading

import pytest
from kit import repos

from smithers_git.edge.git import command
from smithers_git.edge.git.command import complaint, environment, git, git_bytes, require_version, try_git
from smithers_git.errors import GitError, SmithersError, StorageError


def test_output_comes_back_without_its_last_line_end(repo):
    assert git(repo, "log", "--format=%s") == "first"
    assert git_bytes(repo, "log", "--format=%s") == b"first\n"


def test_input_is_passed(repo):
    assert git(repo, "hash-object", "--stdin", input=b"x\n") == "587be6b4c3f93f93c489c0111bba5596147a26cb"


def test_a_repository_named_in_the_environment_is_ignored(repo, tmp_path, monkeypatch):
    other = repos.make_repo(tmp_path / "other", {"x": "1"})
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "index"))
    assert git(repo, "rev-parse", "--absolute-git-dir") == str(repo / ".git")


def test_variables_that_change_what_arguments_mean_are_dropped(repo, monkeypatch):
    monkeypatch.setenv("GIT_LITERAL_PATHSPECS", "1")
    assert git(repo, "ls-files", "*.md") == "README.md"


def test_the_users_identity_and_configuration_stay(monkeypatch):
    monkeypatch.setenv("GIT_AUTHOR_NAME", "Grace")
    env = environment()
    assert env["GIT_AUTHOR_NAME"] == "Grace"
    assert env["GIT_CONFIG_GLOBAL"] == os.environ["GIT_CONFIG_GLOBAL"]


def test_messages_are_english_and_text_stays_unicode(monkeypatch):
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    monkeypatch.setenv("LANGUAGE", "de")
    env = environment()
    assert (env["LC_MESSAGES"], env["LANGUAGE"], env["LC_CTYPE"]) == ("C", "C", "de_DE.UTF-8")
    assert "LC_ALL" not in env


def test_a_failure_names_command_folder_and_reason(repo):
    with pytest.raises(
        GitError, match=r"git rev-parse --verify nothing failed in .*: Needed a single revision"
    ) as caught:
        git(repo, "rev-parse", "--verify", "nothing")
    assert caught.value.hint


def test_a_failure_can_be_a_result(repo):
    assert try_git(repo, "rev-parse", "-q", "--verify", "nothing").code == 1
    assert git(repo, "rev-parse", "-q", "--verify", "nothing", check=False) == ""


@pytest.mark.parametrize(
    "stderr",
    [
        "No space left on device",
        "Read-only file system",
        "Permission denied",
        "Disk quota exceeded",
        "write error. Out of diskspace",
        "Unable to write new index file",
    ],
)
def test_what_the_disk_refuses_is_a_storage_error(tmp_path, monkeypatch, stderr):
    fake = tmp_path / "bin" / "git"
    script = f"#!/bin/sh\n[ $1 = rev-parse ] && echo GIT_DIR && exit\necho 'fatal: x: {stderr}' >&2\nexit 128\n"
    repos.write(tmp_path, {"bin/git": script})
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake.parent}:{os.environ['PATH']}")
    with pytest.raises(StorageError, match=stderr):
        git(tmp_path, "status")


def test_a_missing_git_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SmithersError, match="git was not found"):
        git(tmp_path, "status")


def test_an_old_git_is_refused_with_both_versions(tmp_path, monkeypatch):
    repos.write(tmp_path, {"git": "#!/bin/sh\necho git version 2.34.1\n"})
    (tmp_path / "git").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(GitError, match=r"git 2\.34 is too old, smithers needs 2\.38"):
        require_version()


def test_this_git_is_new_enough():
    assert require_version() >= command.OLDEST


def test_a_lock_that_is_held_for_a_moment_is_waited_for(repo):
    lock = repo / ".git" / "index.lock"
    lock.touch()
    timer = threading.Timer(0.2, lock.unlink)
    timer.start()
    repos.write(repo, {"new": "1"})
    git(repo, "add", "new")
    timer.join()
    assert git(repo, "diff", "--cached", "--name-only") == "new"


def test_a_lock_that_stays_is_an_error_with_its_path(repo, monkeypatch):
    monkeypatch.setattr(command, "_PAUSES", (0.01,))
    (repo / ".git" / "index.lock").touch()
    with pytest.raises(GitError, match=r"index\.lock") as caught:
        git(repo, "add", "-A")
    assert "delete the lock file" in caught.value.hint


@pytest.mark.parametrize("torn", [b"", bytes(500), b"DIRC rubbish that is long enough for a header"])
def test_a_damaged_index_is_an_error_that_says_how_to_make_another(repo, torn):
    (repo / ".git" / "index").write_bytes(torn)
    with pytest.raises(GitError) as caught:
        git(repo, "status")
    place, _, line = caught.value.hint.partition(": ")
    assert "nothing is staged" in place
    subprocess.run(["sh", "-ec", line], check=True, capture_output=True, cwd="/")
    assert git(repo, "status", "--porcelain") == ""


def test_hooks_never_run(repo):
    hook = repo / ".git" / "hooks" / "reference-transaction"
    repos.write(repo / ".git", {"hooks/reference-transaction": "#!/bin/sh\ntouch $GIT_DIR/ran\n"})
    hook.chmod(0o755)
    git(repo, "update-ref", "refs/heads/x", "HEAD")
    assert not (repo / ".git" / "ran").exists()


@pytest.mark.parametrize(
    ("stderr", "line"),
    [
        ("hint: a\nwarning: b\nfatal: c\nerror: d\n", "c"),
        ("hint: a\nno prefix\n", "no prefix"),
        ("warning: only\n", "warning: only"),
        ("", ""),
    ],
)
def test_the_useful_line_of_stderr(stderr, line):
    assert complaint(stderr) == line
