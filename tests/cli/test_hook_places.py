"""Where hooks are put: every place that git looks, beside whatever is there, and away again without a trace."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from kit import hooked, repos, runs
from kit.hooked import git, save, trigger

from smithers_git.core.hook_record import HookRecord, occasions
from smithers_git.edge.git import hook

AFTER = trigger("after", "post-commit")


@pytest.fixture
def repo(smithers: runs.Smithers) -> Path:
    """A repository with a trigger: hooks fire, and what they leave stays."""
    hooked.set_up(smithers.repo, AFTER)
    hooked.hold(smithers.repo)
    return smithers.repo


def script(path: Path, text: str, mode: int = 0o755) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    path.chmod(mode)
    return path


def fired(repo: Path) -> bool:
    """Whether exactly one hook left something since the last look."""
    return len(hooked.taken(repo)) == 1


def test_install_puts_only_what_triggers_need_and_uninstall_leaves_no_trace(
    smithers: runs.Smithers, repo: Path
) -> None:
    before = repos.contents(repo / ".git")
    (found,) = smithers.json("hooks", "install")["hooks"]
    assert found["event"] == "post-commit"
    assert found["done"] == "installed"
    assert repos.git(repo, "config", "--get", "core.hooksPath", check=False) == ""
    assert smithers.json("hooks", "install")["hooks"][0]["done"] == "renewed"
    assert smithers.json("hooks", "uninstall")["hooks"][0]["done"] == "removed"
    assert repos.contents(repo / ".git") == before
    assert smithers.json("hooks", "uninstall")["hooks"] == []


def test_a_hook_that_was_there_runs_first_with_its_arguments_and_input_and_decides(
    smithers: runs.Smithers, repo: Path, tmp_path: Path
) -> None:
    repos.git(tmp_path, "init", "-q", "--bare", "far")
    text = f'#!/bin/sh\nprintf "%s|" "$@" > {tmp_path}/args\ncat > {tmp_path}/input\nexit $(cat {tmp_path}/code)\n'
    own = script(repo / ".git/hooks/pre-push", text, 0o750)
    (tmp_path / "code").write_text("7")
    before = own.stat(), own.read_bytes()
    smithers("hooks", "install", "pre-push")
    far = str(tmp_path / "far")
    git(repo, "push", "-q", far, "main", code=1)
    assert (tmp_path / "args").read_text() == f"{far}|{far}|"
    head = repos.git(repo, "rev-parse", "HEAD")
    assert (tmp_path / "input").read_text() == f"refs/heads/main {head} refs/heads/main {'0' * 40}\n"
    line = f"refs/heads/main {head} refs/heads/main {'0' * 40}\n".encode() * 3000
    argv = [repo / ".git/hooks/pre-push", "a b", "*"]
    assert subprocess.run(argv, cwd=repo, input=line).returncode == 7
    assert (tmp_path / "args").read_text() == "a b|*|"
    assert (tmp_path / "input").read_bytes() == line, "more than a pipe holds at once"
    (tmp_path / "code").write_text("0")
    git(repo, "push", "-q", far, "main")
    assert smithers.json("hooks", "uninstall")["hooks"][0]["done"] == "restored"
    assert own.read_bytes() == before[1]
    assert (own.stat().st_mode, own.stat().st_ino) == (before[0].st_mode, before[0].st_ino)
    assert [path.name for path in own.parent.iterdir()] == ["pre-push"]


def test_a_hook_that_does_not_read_its_input_and_one_killed_by_a_signal_are_as_under_git(
    smithers: runs.Smithers, repo: Path
) -> None:
    own = script(repo / ".git/hooks/pre-push", "#!/bin/sh\nkill -9 $$\n")
    smithers("hooks", "install", "pre-push")
    assert subprocess.run([own], cwd=repo, input=b"x" * 200_000).returncode == 128 + 9
    kept = own.with_name("pre-push.smithers-kept")
    script(kept, "#!/bin/sh\nyes | head -1 >/dev/null\n")
    assert subprocess.run([own], cwd=repo, input=b"x" * 200_000, timeout=20).returncode == 0


@pytest.mark.parametrize(
    ("text", "mode", "runs_it"),
    [("touch ran\n", 0o755, True), ("#!/bin/sh\ntouch ran\n", 0o644, False)],
    ids=["without-an-interpreter", "not-executable"],
)
def test_an_odd_hook_is_treated_as_git_treats_it(
    smithers: runs.Smithers, repo: Path, text: str, mode: int, runs_it: bool
) -> None:
    own = script(repo / ".git/hooks/post-commit", text, mode)
    smithers("hooks", "install")
    save(repo, {"a.txt": "x\n"})
    assert (repo / "ran").exists() == runs_it
    assert fired(repo)
    smithers("hooks", "uninstall")
    assert own.stat().st_mode & 0o777 == mode


def test_a_link_stays_a_link(smithers: runs.Smithers, repo: Path) -> None:
    script(repo / "tools/after.sh", "#!/bin/sh\ntouch ran\n")
    own = repo / ".git/hooks/post-commit"
    own.parent.mkdir(exist_ok=True)
    own.symlink_to("../../tools/after.sh")
    smithers("hooks", "install")
    save(repo, {"a.txt": "x\n"})
    assert (repo / "ran").exists()
    assert "touch" in (repo / "tools/after.sh").read_text(), "the file behind the link was written"
    smithers("hooks", "uninstall")
    assert str(own.readlink()) == "../../tools/after.sh"
    fired(repo)


def test_an_older_kept_hook_is_never_overwritten(smithers: runs.Smithers, repo: Path) -> None:
    own = script(repo / ".git/hooks/post-commit", "#!/bin/sh\n")
    script(repo / ".git/hooks/post-commit.smithers-kept", "#!/bin/sh\n# precious\n")
    assert smithers.json("hooks", "install", code=1)["error"]["code"] == "hook"
    assert own.read_text() == "#!/bin/sh\n"


def test_a_hook_that_somebody_put_over_ours_is_not_touched(smithers: runs.Smithers, repo: Path) -> None:
    smithers("hooks", "install")
    own = script(repo / ".git/hooks/post-commit", "#!/bin/sh\n# theirs\n")
    assert smithers.json("hooks", "uninstall")["hooks"] == []
    assert "theirs" in own.read_text()


def test_without_smithers_the_old_hook_still_runs_and_the_rest_is_said(smithers: runs.Smithers, repo: Path) -> None:
    script(repo / ".git/hooks/pre-commit", "#!/bin/sh\nexit 3\n")
    smithers("hooks", "install", "pre-commit", "post-commit")
    for name in ("pre-commit", "post-commit"):
        path = repo / ".git/hooks" / name
        path.write_text(path.read_text().replace("hook.py", "gone.py"))
    assert "smithers hooks install" in save(repo, {"a.txt": "x\n"}, code=1)
    assert "smithers hooks install" in git(repo, "commit", "-qnm", "x")


def test_core_hooks_path_relative_to_each_worktree(smithers: runs.Smithers, repo: Path) -> None:
    git(repo, "config", "core.hooksPath", ".githooks")
    said = smithers("hooks", "install")
    assert str(repo / ".githooks/post-commit") in said.out
    assert "git status shows these files" in said.err
    save(repo, {"a.txt": "x\n"})
    assert fired(repo)
    assert repos.git(repo, "config", "core.hooksPath") == ".githooks"


def test_core_hooks_path_that_is_absolute(smithers: runs.Smithers, repo: Path, tmp_path: Path) -> None:
    git(repo, "config", "core.hooksPath", str(tmp_path / "shared"))
    smithers("hooks", "install")
    assert (tmp_path / "shared/post-commit").is_file()
    save(repo, {"a.txt": "x\n"})
    assert fired(repo)
    other = repos.make_repo(tmp_path / "other")
    git(other, "config", "core.hooksPath", str(tmp_path / "shared"))
    save(other, {"a.txt": "x\n"})
    assert not (other / ".git/smithers").exists(), "a repository without triggers was written to"


def test_a_commit_in_a_linked_worktree_is_noted_for_that_worktree(
    smithers: runs.Smithers, repo: Path, tmp_path: Path
) -> None:
    git(repo, "worktree", "add", "-q", "-b", "side", str(tmp_path / "side"))
    smithers("hooks", "install")
    save(tmp_path / "side", {"a.txt": "fine\n"})
    (record,) = hooked.taken(repo)
    assert record["top"] == str(tmp_path / "side")
    assert record["common"] == str(repo / ".git")
    assert (record["head"], record["branch"]) == (repos.git(repo, "rev-parse", "side"), "refs/heads/side")


def test_a_bare_repository_with_worktrees(
    smithers: runs.Smithers, repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(tmp_path, "clone", "-q", "--bare", str(repo), "store.git")
    git(tmp_path / "store.git", "worktree", "add", "-q", str(tmp_path / "files"), "main")
    monkeypatch.chdir(tmp_path / "files")
    hooked.hold(tmp_path / "files")
    (found,) = smithers.json("hooks", "install")["hooks"]
    assert found["path"] == str(tmp_path / "store.git/hooks/post-commit")
    save(tmp_path / "files", {"a.txt": "x\n"})
    assert fired(tmp_path / "files")


# -- tools that own the hooks: shaped like theirs; with the real ones in tests/hooks

TOOLS = {
    "pre-commit": "#!/usr/bin/env bash\n# File generated by pre-commit: https://pre-commit.com\n# ID: 138fd403\n",
    "lefthook": '#!/bin/sh\n\ncall_lefthook()\n{\n  lefthook "$@"\n}\n\ncall_lefthook run "post-commit" "$@"\n',
    "husky": '#!/bin/sh\n# husky\n\nhookName=`basename "$0"`\n',
}


@pytest.mark.parametrize("tool", TOOLS)
def test_a_hook_of_a_tool_is_not_touched_and_the_lines_to_add_are_printed(
    smithers: runs.Smithers, repo: Path, tool: str
) -> None:
    own = script(repo / ".git/hooks/post-commit", TOOLS[tool])
    before = repos.contents(repo)
    (found,) = smithers.json("hooks", "install")["hooks"]
    assert found["holder"] == tool
    assert found["done"] == ""
    assert "smithers hooks run post-commit" in found["snippet"]
    assert repos.contents(repo) == before
    assert own.read_text() == TOOLS[tool]
    assert found["snippet"] in smithers("hooks", "install").out


def test_the_folder_of_husky_9_is_not_touched(smithers: runs.Smithers, repo: Path) -> None:
    script(repo / ".husky/_/post-commit", '#!/usr/bin/env sh\n. "$(dirname "$0")/h"\n')
    git(repo, "config", "core.hooksPath", ".husky/_")
    before = repos.contents(repo)
    (found,) = smithers.json("hooks", "install", "pre-push")["hooks"]
    assert (found["holder"], found["done"]) == ("husky", "")
    assert ".husky/pre-push" in found["snippet"]
    assert repos.contents(repo) == before


def test_what_a_tool_calls_does_what_the_hook_does(smithers: runs.Smithers, repo: Path) -> None:
    """A wrapper as husky's that runs the file of the same name in the folder above with `sh -e`."""
    code = f"'{os.environ['PATH'].split(os.pathsep)[0]}/python3' -m smithers_git"
    script(repo / ".husky/post-commit", f'{code} hooks run post-commit "$@"\n', 0o644)
    script(repo / ".husky/_/post-commit", '#!/bin/sh\nexec sh -e "${0%/*/*}/${0##*/}" "$@"\n')
    git(repo, "config", "core.hooksPath", ".husky/_")
    save(repo, {"a.txt": "x\n"})
    assert fired(repo)


@pytest.mark.parametrize("names_commits", [True, False])
def test_pre_commit_gives_a_push_as_variables(
    smithers: runs.Smithers, monkeypatch: pytest.MonkeyPatch, names_commits: bool
) -> None:
    repo = smithers.repo
    hooked.set_up(repo, trigger("gate", "pre-push", branches=["main"]))
    hooked.hold(repo)
    head = repos.git(repo, "rev-parse", "HEAD")
    given = {"LOCAL_BRANCH": "refs/heads/main", "REMOTE_BRANCH": "refs/heads/far", "REMOTE_NAME": "origin"}
    given |= {"TO_REF": head, "FROM_REF": "f" * 40} if names_commits else {}
    for name, value in given.items():
        monkeypatch.setenv(f"PRE_COMMIT_{name}", value)
    assert hook.enter("pre-push", [], b"") == 0
    (record,) = hooked.taken(repo)
    (occasion,) = occasions(HookRecord.model_validate(record))
    assert (occasion.branch, occasion.commit, occasion.remote) == ("far", head, "origin")
    assert occasion.before == ("f" * 40 if names_commits else "")


def test_a_name_that_is_no_hook_and_a_repository_without_triggers_are_told(smithers: runs.Smithers) -> None:
    assert "post-commit" in smithers.json("hooks", "install", "../../x", code=2)["error"]["hint"]
    assert "[[trigger]]" in smithers.json("hooks", "install", code=1)["error"]["hint"]


def test_init_offers_the_hooks_that_triggers_need_and_installs_none(smithers: runs.Smithers, repo: Path) -> None:
    before = repos.contents(repo / ".git")
    assert "smithers hooks install" in smithers.json("init")["next"]
    assert repos.contents(repo / ".git") == before
    smithers("hooks", "install")
    assert "smithers hooks install" not in smithers.json("init")["next"]
