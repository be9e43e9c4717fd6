from __future__ import annotations

import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from kit import repos
from kit.repos import git

from smithers_git.core.settings import WorktreeSettings
from smithers_git.edge.git import worktree
from smithers_git.edge.git.repository import discover
from smithers_git.errors import ConfigError, SetupFailed, StorageError
from smithers_git.names import branch_ref
from smithers_git.service.workspaces import Making, Workspaces

BRANCH = branch_ref("run1", "main")


@pytest.fixture
def head(repo):
    return git(repo, "rev-parse", "HEAD")


def spaces(repo, **settings):
    return Workspaces(discover(repo), "run1", Making(WorktreeSettings.model_validate(settings)))


def ensure(repo, head, **settings):
    return spaces(repo, **settings).ensure("main", BRANCH, head)


# -- where


def test_the_default_place_is_outside_the_checkout_and_stable(repo, home):
    path = spaces(repo).path("main")
    root = home / ".local" / "state" / "smithers" / "worktrees"
    assert path.parent.parent.parent == root
    assert path.parent.parent.name.startswith("repo-")
    assert path.parts[-2:] == ("run1", "main")
    assert spaces(repo).path("main") == path


def test_xdg_state_home_counts_when_it_is_absolute(repo, home, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "s"))
    assert spaces(repo).path("main").is_relative_to(tmp_path / "s" / "smithers")
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    assert spaces(repo).path("main").is_relative_to(home / ".local" / "state")


def test_two_repositories_of_the_same_name_do_not_meet(repo, tmp_path):
    other = repos.make_repo(tmp_path / "other" / "repo")
    assert spaces(repo).root != spaces(other).root


def test_the_place_is_the_same_from_a_linked_worktree(repo, tmp_path):
    git(repo, "worktree", "add", "-q", "-b", "side", str(tmp_path / "linked"))
    assert spaces(tmp_path / "linked").path("main") == spaces(repo).path("main")


def test_a_name_that_shells_dislike_is_made_plain(tmp_path):
    repo = repos.make_repo(tmp_path / "my $repo ü")
    assert spaces(repo).root.name.startswith("my-repo-")


@pytest.mark.parametrize("root", ["{tmp}/elsewhere", "~/trees"])
def test_a_root_of_the_users_choice(repo, head, home, tmp_path, root):
    path = ensure(repo, head, root=root.format(tmp=tmp_path))
    assert path.is_relative_to(tmp_path / "elsewhere") or path.is_relative_to(home / "trees")
    assert git(path, "status", "--porcelain") == ""


def test_a_root_inside_the_checkout_must_be_ignored(repo, head):
    with pytest.raises(ConfigError, match="git does not ignore it") as caught:
        ensure(repo, head, root=".trees")
    assert "/.trees/" in caught.value.hint
    assert not (repo / ".trees").exists()
    repos.write(repo, {".git/info/exclude": "/.trees/\n"})
    path = ensure(repo, head, root=".trees")
    assert path.is_relative_to(repo / ".trees")
    assert git(repo, "status", "--porcelain") == ""


# -- making


def test_made_once_and_then_left_as_it_is(repo, head):
    path = ensure(repo, head)
    assert git(path, "rev-parse", "HEAD") == head
    repos.write(path, {"new": "1"})
    assert ensure(repo, head) == path
    assert (path / "new").exists()


def test_made_again_at_the_same_place_when_its_folder_is_gone(repo, head):
    path = ensure(repo, head)
    shutil.rmtree(path)
    assert ensure(repo, head) == path
    assert (path / "README.md").exists()


def test_one_that_was_only_half_made_is_completed(repo, head):
    ours = spaces(repo)
    worktree.add(ours.repo, ours.path("main"), BRANCH, head)  # and then the process was killed
    assert not (ours.path("main") / "README.md").exists()
    assert (ours.ensure("main", BRANCH, head) / "README.md").exists()


def test_a_foreign_folder_at_its_place_is_left_alone(repo, head):
    path = spaces(repo).path("main")
    repos.write(path, {"precious": "1"})
    with pytest.raises(StorageError, match="not an empty folder"):
        ensure(repo, head)
    assert list(path.iterdir()) == [path / "precious"]


def test_the_users_checkout_stays_byte_for_byte(repo, head):
    repos.write(repo, {".env": "S=1", ".worktreeinclude": ".env\n", "README.md": "edited"})
    before = repos.contents(repo)
    ours = spaces(repo, copy=[".env"], setup="touch made-by-setup")
    path = ours.ensure("main", BRANCH, head)
    repos.write(path, {"new": "1"})
    saved = ours.save("main", BRANCH, head, "m")
    ours.restore("main", BRANCH, head)
    ours.restore("main", BRANCH, saved.commit)
    assert ours.remove("main", BRANCH, saved.commit)
    after = repos.contents(repo)
    assert {name: after[name] for name in before} == before
    assert {Path(name).parts[:2] for name in after.keys() - before.keys()} <= {
        (".git", name) for name in ("objects", "refs", "logs", "smithers", "worktrees")
    }


# -- copy, symlink, .worktreeinclude


def test_files_globs_and_folders_are_copied_from_the_main_checkout(repo, head, tmp_path):
    repos.write(repo, {".gitignore": ".env*\n/build/\n/deps/\n"})
    base = repos.commit(repo, {})
    repos.write(repo, {".env": "A=1", ".env.local": "B=2", "deps/x/y": "1", "build/out": "1"})
    (repo / ".env").chmod(0o600)
    (repo / "deps" / "link").symlink_to("x/y")
    git(repo, "worktree", "add", "-q", "-b", "side", str(tmp_path / "linked"))
    path = ensure(tmp_path / "linked", base, copy=[".env*", "deps", "absent", "absent/*"])
    assert (path / ".env").read_text() == "A=1"
    assert (path / ".env").stat().st_mode & 0o777 == 0o600
    assert (path / ".env.local").exists()
    assert (path / "deps" / "link").readlink() == Path("x/y")
    assert not (path / "build").exists()
    assert git(path, "status", "--porcelain") == ""


def test_links_lead_to_the_main_checkout(repo):
    base = repos.commit(repo, {".gitignore": "/node_modules\n"})
    repos.write(repo, {"node_modules/pkg/index.js": "1"})
    path = ensure(repo, base, symlink=["node_modules"])
    assert (path / "node_modules").readlink() == repo / "node_modules"
    assert git(path, "status", "--porcelain") == ""


def test_nothing_is_overwritten(repo, head):
    repos.write(repo, {"README.md": "edited by the user", "src/app.py": "edited"})
    path = ensure(repo, head, copy=["README.md", "src"], symlink=["README.md"])
    assert (path / "README.md").read_text() == "# Sample\n"
    assert not (path / "README.md").is_symlink()
    assert git(path, "status", "--porcelain") == ""


def test_what_git_does_not_ignore_is_refused(repo, head):
    repos.write(repo, {"secret.txt": "S"})
    with pytest.raises(ConfigError, match=r"git does not ignore the file secret\.txt") as caught:
        ensure(repo, head, copy=["secret.txt"])
    assert "/secret.txt" in caught.value.hint
    assert not (spaces(repo).path("main") / "secret.txt").exists()


def test_a_link_to_a_folder_that_only_a_folder_pattern_ignores_is_refused_with_the_reason(repo):
    base = repos.commit(repo, {".gitignore": "node_modules/\n"})
    repos.write(repo, {"node_modules/pkg": "1"})
    with pytest.raises(ConfigError, match="the link node_modules") as caught:
        ensure(repo, base, symlink=["node_modules"])
    assert "ends in a slash matches no link" in caught.value.hint


@pytest.mark.parametrize("key", ["copy", "symlink"])
@pytest.mark.parametrize("pattern", ["../x", "/etc/passwd", "a/../../x", "~/x", ""])
def test_patterns_that_leave_the_checkout_are_refused(repo, head, key, pattern):
    with pytest.raises(ConfigError, match="does not name something in the checkout"):
        ensure(repo, head, **{key: [pattern]})


@pytest.mark.parametrize("key", ["copy", "symlink"])
def test_links_that_lead_out_of_the_checkout_are_refused(repo, head, tmp_path, key):
    (tmp_path / "outside").mkdir()
    repos.write(tmp_path, {"outside/.env": "S"})
    (repo / ".env").symlink_to(tmp_path / "outside" / ".env")
    with pytest.raises(ConfigError, match="leads out of"):
        ensure(repo, head, **{key: [".env"]})


def test_links_that_lead_out_of_the_worktree_are_refused(repo, tmp_path):
    (tmp_path / "target").mkdir()
    (repo / "conf").symlink_to(tmp_path / "target")
    git(repo, "add", "-A")
    git(repo, "commit", "-qm", "link")
    base = git(repo, "rev-parse", "HEAD")
    (repo / "conf").unlink()
    repos.write(repo, {"conf/.env": "S"})
    with pytest.raises(ConfigError, match="outside of the worktree"):
        ensure(repo, base, copy=["conf/.env"])
    assert list((tmp_path / "target").iterdir()) == []


def test_the_git_directory_is_never_copied(repo, head):
    path = ensure(repo, head, copy=[".git", ".git/config", "**/*"])
    assert (path / ".git").is_file()


def test_worktreeinclude_names_ignored_files_to_copy(repo, head):
    repos.write(
        repo,
        {
            ".worktreeinclude": "# secrets\n.env\nconf/*.log\n!conf/no.log\nplain.txt\nREADME.md\n",
            ".env": "A=1",
            "sub/.env": "B=2",
            "conf/yes.log": "1",
            "conf/no.log": "1",
            "other.log": "1",
            "plain.txt": "not ignored",
        },
    )
    path = ensure(repo, head)
    assert (path / ".env").read_text() == "A=1"
    assert (path / "sub" / ".env").exists()
    assert [entry.name for entry in (path / "conf").iterdir()] == ["yes.log"]
    assert not (path / "other.log").exists()
    assert not (path / "plain.txt").exists()
    assert git(path, "status", "--porcelain") == ""


def test_worktreeinclude_finds_nothing_is_fine(repo, head):
    repos.write(repo, {".worktreeinclude": ".env\n"})
    assert ensure(repo, head).exists()


# -- setup and teardown


def test_setup_as_a_line_for_the_shell_and_as_words(repo, head):
    path = ensure(repo, head, setup='echo "$SMITHERS_RUN $SMITHERS_SPACE $SMITHERS_MAIN" > x.log && pwd >> x.log')
    assert (path / "x.log").read_text() == f"run1 main {repo}\n{path}\n"
    other = spaces(repo, setup=["sh", "-c", "echo $0 > y.log", "a b"]).ensure(
        "other", branch_ref("run1", "other"), head
    )
    assert (other / "y.log").read_text() == "a b\n"


def test_setup_comes_after_the_copies_and_runs_once(repo, head):
    repos.write(repo, {".env": "A=1\n"})
    for _ in range(2):
        path = ensure(repo, head, copy=[".env"], setup="cat .env >> x.log")
    assert (path / "x.log").read_text() == "A=1\n"


def test_setup_gets_the_users_environment_without_gits_own_names(repo, head, monkeypatch):
    monkeypatch.setenv("MINE", "1")
    monkeypatch.setenv("GIT_DIR", str(repo / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", "x")
    path = ensure(repo, head, setup="env > x.log; git init -q sub.log")
    lines = (path / "x.log").read_text().splitlines()
    assert "MINE=1" in lines
    assert not [line for line in lines if line.startswith(("GIT_DIR", "GIT_INDEX_FILE"))]
    monkeypatch.undo()
    assert git(repo, "config", "core.bare") == "false"


def test_a_failing_setup_shows_the_end_of_its_output_and_runs_again(repo, head):
    with pytest.raises(SetupFailed, match=r"setup for main exited with code 3:\nout\nerr") as caught:
        ensure(repo, head, setup="echo out; echo err >&2; echo half > README.md; exit 3")
    path = spaces(repo).path("main")
    assert str(path) in caught.value.hint
    assert ensure(repo, head, setup="touch done.log") == path
    assert (path / "done.log").exists()
    assert (path / "README.md").read_text() == "# Sample\n"


def test_the_output_of_a_setup_is_cut_to_its_end_in_the_error_and_whole_in_the_log(repo, head):
    with pytest.raises(SetupFailed) as caught:
        ensure(repo, head, setup="seq 1 100000; exit 1")
    assert len(caught.value.message) < 5000
    assert caught.value.message.endswith("100000")
    assert Path(caught.value.hint.split()[-1]).read_text().startswith("1\n2\n")


def test_a_setup_that_does_not_exist(repo, head):
    with pytest.raises(SetupFailed, match="no-such-program"):
        ensure(repo, head, setup=["no-such-program"])


def test_a_setup_can_be_cancelled(repo, head):
    cancel = threading.Event()
    timer = threading.Timer(0.3, cancel.set)
    timer.start()
    with pytest.raises(SetupFailed, match="cancelled"):
        spaces(repo, setup="sleep 60").ensure("main", BRANCH, head, cancel=cancel)
    timer.join()


def test_teardown_runs_before_the_removal(repo, head, tmp_path):
    ours = spaces(repo, teardown=f"ls > {tmp_path}/seen")
    ours.ensure("main", BRANCH, head)
    assert ours.remove("main", BRANCH, head)
    assert "README.md" in (tmp_path / "seen").read_text()
    assert not ours.path("main").parent.exists()


def test_a_failing_teardown_keeps_the_workspace_and_has_it_set_up_again(repo, head):
    ours = spaces(repo, setup="echo x >> x.log", teardown="exit 1")
    path = ours.ensure("main", BRANCH, head)
    with pytest.raises(SetupFailed, match="teardown for main exited with code 1"):
        ours.remove("main", BRANCH, head)
    ours.ensure("main", BRANCH, head)
    assert (path / "x.log").read_text() == "x\nx\n"


# -- save, restore, remove


def test_save_keep_and_restore(repo, head):
    ours = spaces(repo)
    assert ours.keep("main", BRANCH, head, "nothing yet") is None
    with pytest.raises(StorageError, match="is missing"):
        ours.save("main", BRANCH, head, "nothing yet")
    path = ours.ensure("main", BRANCH, head)
    repos.write(path, {"new": "1"})
    saved = ours.keep("main", BRANCH, head, "kept")
    assert saved.changed
    ours.restore("main", BRANCH, head)
    assert not (path / "new").exists()
    shutil.rmtree(path)
    ours.restore("main", BRANCH, saved.commit)
    assert (path / "new").exists()


@pytest.mark.parametrize("change", ["edit", "add", "delete", "hide", "commit", "nothing", "ignored"])
def test_one_with_any_change_that_git_does_not_ignore_stays(repo, head, change):
    ours = spaces(repo)
    path = ours.ensure("main", BRANCH, head)
    if change == "edit":
        repos.write(path, {"README.md": "x"})
    elif change == "add":
        repos.write(path, {"new": "x"})
    elif change == "delete":
        (path / "README.md").unlink()
    elif change == "hide":
        git(path, "update-index", "--skip-worktree", "README.md")
        repos.write(path, {"README.md": "x"})
    elif change == "commit":
        git(path, "commit", "-q", "--allow-empty", "-m", "x")
    elif change == "ignored":
        repos.write(path, {"x.log": "x"})
    assert ours.remove("main", BRANCH, head) == (change in ("nothing", "ignored"))


def test_one_that_holds_unsaved_work_is_not_removed_and_not_torn_down(repo, head, tmp_path):
    ours = spaces(repo, teardown=f"touch {tmp_path}/torn")
    path = ours.ensure("main", BRANCH, head)
    repos.write(path, {"new": "1"})
    assert not ours.remove("main", BRANCH, head)
    assert (path / "new").exists()
    assert not (tmp_path / "torn").exists()


def test_removing_what_is_not_there_is_done(repo, head):
    assert spaces(repo).remove("main", BRANCH, head)


def test_the_files_of_the_main_checkout_behind_a_link_survive_a_removal(repo):
    base = repos.commit(repo, {".gitignore": "/deps\n"})
    repos.write(repo, {"deps/x": "1"})
    ours = spaces(repo, symlink=["deps"])
    ours.ensure("main", BRANCH, base)
    ours.restore("main", BRANCH, base)
    assert ours.remove("main", BRANCH, base)
    assert (repo / "deps" / "x").exists()


def test_many_spaces_at_once_from_threads(repo, head):
    ours = spaces(repo, setup="echo ready > x.log")
    with ThreadPoolExecutor(6) as pool:
        paths = list(pool.map(lambda n: ours.ensure(f"s{n}", branch_ref("run1", f"s{n}"), head), range(6)))
    assert len(set(paths)) == 6
    assert all((path / "x.log").exists() for path in paths)
