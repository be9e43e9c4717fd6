from __future__ import annotations

import pytest
from kit import repos
from kit.repos import git

from smithers_git.edge.git.diff import changed_files, diff, diff_stat
from smithers_git.edge.git.repository import discover


@pytest.fixture
def two(repo):
    git(repo, "mv", "src/app.py", "src/main.py")
    repos.commit(repo, {"README.md": "# Sample\nmore\n", "bin": bytes(10), "ünï": "1\n"})
    return discover(repo), git(repo, "rev-parse", "HEAD~1"), git(repo, "rev-parse", "HEAD")


def test_the_patch(two):
    text = diff(*two)
    assert "diff --git a/README.md b/README.md" in text
    assert "\n+more\n" in text
    assert "rename from src/app.py" in text
    assert "b/ünï" in text
    assert "\033" not in text


def test_the_patch_of_some_paths(two):
    assert diff(*two, "README.md").count("diff --git") == 1
    assert diff(*two, "src").count("diff --git") == 2 - 1
    assert diff(*two, "*.md") == ""  # a name, not a pattern


def test_the_users_diff_settings_change_nothing(two, repo, monkeypatch):
    plain = diff(*two)
    for setting in ("diff.noprefix=true", "diff.external=/bin/false", "color.ui=always", "diff.renames=false"):
        git(repo, "config", *setting.split("="))
    repos.write(repo, {".git/info/attributes": "* diff=x\n"})
    git(repo, "config", "diff.x.textconv", "rev")
    monkeypatch.setenv("GIT_EXTERNAL_DIFF", "/bin/false")
    assert diff(*two) == plain


def test_color_on_request(two):
    assert "\033[32m+" in diff(*two, color=True)
    assert "\033[32m" in diff_stat(*two, color=True)


def test_the_summary(two):
    text = diff_stat(*two)
    assert "4 files changed, 2 insertions(+)" in text
    assert "src/{app.py => main.py}" in text


def test_the_names(two):
    assert changed_files(*two) == ["README.md", "bin", "src/app.py", "src/main.py", "ünï"]
    assert changed_files(two[0], two[2], two[2]) == []


def test_trees_do_as_well(two, repo):
    tree = git(repo, "rev-parse", "HEAD^{tree}")
    assert changed_files(two[0], two[1], tree) == changed_files(*two)
