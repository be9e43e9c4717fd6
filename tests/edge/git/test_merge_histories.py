"""Candidates against git itself: random histories, landed in memory and by `git merge` in a real checkout.

A failure names its seed. `make soak` runs many more of them.
"""

from __future__ import annotations

import random
import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from kit import repos
from kit.repos import git

from smithers_git.edge.git.merge import Clash, Merger
from smithers_git.edge.git.objects import Objects
from smithers_git.edge.git.repository import discover

STYLES = ("merge", "squash", "rebase")
MOMENT = 1_700_000_000

Tree = dict[str, tuple[str, bytes]]
Change = Callable[[Tree], None]


@dataclass
class History:
    """Branches as lists of seeded changes to trees; written by one `git fast-import`."""

    chance: random.Random
    stream: list[bytes] = field(default_factory=list)
    marks: int = 0

    def commit(self, tree: Tree, parents: list[int], message: str) -> int:
        self.marks += 1
        author = f"Author {self.marks} <a{self.marks}@x> {MOMENT + self.marks} +0200"
        lines = [b"commit refs/made/%d" % self.marks, b"mark :%d" % self.marks, b"author " + author.encode()]
        text = message.encode()
        lines += [b"committer C <c@x> %d +0000" % (MOMENT + self.marks), b"data %d\n%s" % (len(text), text)]
        lines += [(b"from :%d" if not number else b"merge :%d") % parent for number, parent in enumerate(parents)]
        lines.append(b"deleteall")
        for path, (mode, content) in tree.items():
            if mode == "160000":
                lines.append(b"M 160000 %s %s" % (content, path.encode()))
            else:
                lines.append(b"M %s inline %s\ndata %d\n%s" % (mode.encode(), path.encode(), len(content), content))
        self.stream.append(b"\n".join(lines) + b"\n")
        return self.marks

    def write(self, repo: Path) -> dict[int, str]:
        git(repo, "fast-import", "--quiet", stdin=b"".join(self.stream))
        rows = git(repo, "for-each-ref", "--format=%(refname:lstrip=2) %(objectname)", "refs/made").splitlines()
        return {int(row.split()[0]): row.split()[1] for row in rows}


def line(chance: random.Random) -> bytes:
    return b"token%012x is here\n" % chance.getrandbits(48)


def begin(chance: random.Random) -> Tree:
    tree: Tree = {}
    for number in range(9):
        folder = ("", "lib/", "lib/deep/", "doc/")[number % 4]
        mode = "100755" if number == 3 else "100644"
        tree[f"{folder}f{number}.txt"] = (mode, b"".join(line(chance) for _ in range(chance.randint(8, 24))))
    tree["doc/list.md"] = ("100644", b"".join(line(chance) for _ in range(5)))
    tree["pic.bin"] = ("100644", b"\0" + chance.randbytes(300))
    tree["link"] = ("120000", b"f0.txt")
    tree["vendor/sub"] = ("160000", b"%040x" % chance.getrandbits(160))
    tree[".gitmodules"] = ("100644", b'[submodule "sub"]\n\tpath = vendor/sub\n\turl = ../sub\n')
    if chance.random() < 0.6:
        tree[chance.choice(("", "doc/")) + ".gitattributes"] = ("100644", b"*.md merge=union\n*.bin -merge\n")
    return tree


def change(seed: int) -> Change:
    """One change; the same seed does the same wherever it applies."""

    def apply(tree: Tree) -> None:
        chance = random.Random(seed)
        kind = chance.choices(KINDS, WEIGHTS)[0]
        files = sorted(path for path, (mode, _) in tree.items() if mode.startswith("100") and "git" not in path)
        path = chance.choice(files) if files else "f0.txt"
        kind(tree, path, chance)

    return apply


def edit(tree: Tree, path: str, chance: random.Random) -> None:
    mode, content = tree.get(path, ("100644", b""))
    if content[:1] == b"\0":
        tree[path] = (mode, b"\0" + chance.randbytes(300))
        return
    lines = content.splitlines(keepends=True)
    for _ in range(chance.randint(1, 2)):
        at = chance.randint(0, len(lines))
        lines[at : at + chance.randint(0, 2)] = [line(chance) for _ in range(chance.randint(0, 2))]
    tree[path] = (mode, b"".join(lines))


def add(tree: Tree, path: str, chance: random.Random) -> None:
    folder = path.rpartition("/")[0]
    tree[f"{folder}/n{chance.randint(0, 30)}.txt".lstrip("/")] = ("100644", b"".join(line(chance) for _ in range(9)))


def delete(tree: Tree, path: str, chance: random.Random) -> None:
    tree.pop(path, None)


def rename(tree: Tree, path: str, chance: random.Random) -> None:
    if path in tree:
        folder = chance.choice(("", "lib/", "doc/", "new/"))
        tree[f"{folder}r{chance.randint(0, 30)}.txt"] = tree.pop(path)


def rename_edited(tree: Tree, path: str, chance: random.Random) -> None:
    edit(tree, path, chance)
    rename(tree, path, chance)


def recase(tree: Tree, path: str, chance: random.Random) -> None:
    folder, _, name = path.rpartition("/")
    if path in tree:
        tree[f"{folder}/{name.swapcase()}".lstrip("/")] = tree.pop(path)


def move_folder(tree: Tree, path: str, chance: random.Random) -> None:
    old, new = chance.choice((("lib/deep/", "far/"), ("doc/", "docs/"), ("lib/", "source/")))
    for name in [name for name in tree if name.startswith(old)]:
        tree[new + name.removeprefix(old)] = tree.pop(name)


def mode(tree: Tree, path: str, chance: random.Random) -> None:
    if path in tree:
        now, content = tree[path]
        tree[path] = ("100644" if now == "100755" else "100755", content)


def link(tree: Tree, path: str, chance: random.Random) -> None:
    tree["link"] = ("120000", b"to%d" % chance.randint(0, 3))


def submodule(tree: Tree, path: str, chance: random.Random) -> None:
    name = chance.choice(("vendor/sub", "vendor/sub", "vendor/other"))
    tree[name] = ("160000", b"%040x" % chance.getrandbits(160))


KINDS = (edit, add, delete, rename, rename_edited, recase, move_folder, mode, link, submodule)
WEIGHTS = (34, 10, 5, 8, 8, 3, 4, 7, 2, 4)


def branches(repo: Path, seed: int, count: int) -> tuple[str, list[str]]:
    """A target and `count` branches, some of which took from one another; returns their commits."""
    chance = random.Random(seed)
    history, base = History(chance), begin(chance)
    first = history.commit(base, [], "begin")
    trunk, done = dict(base), []
    tip = first
    heads: list[int] = []
    shared = chance.getrandbits(32)
    forks = [(first, [])]  # commits of the target that a branch can begin at or take in, and what led to them
    for number in range(chance.randint(0, 3)):
        done = [*done, chance.getrandbits(32)]
        change(done[-1])(trunk)
        tip = history.commit(trunk, [tip], f"target {number}")
        forks.append((tip, done))
    for name in range(count):
        at, before = chance.choice(forks)
        tree, own = dict(base), []
        for one in before:
            change(one)(tree)
        for number in range(chance.randint(1, 4)):
            own.append(shared if chance.random() < 0.12 else chance.getrandbits(32))
            change(own[-1])(tree)
            at = history.commit(tree, [at], f"branch {name}, {number}\n\nwhy it is so\n")
            if chance.random() < 0.15:  # a merge of the target
                taken, before = chance.choice(forks)
                tree = dict(base)
                for one in [*before, *own]:
                    change(one)(tree)
                at = history.commit(tree, [at, taken], f"branch {name} takes the target")
        if chance.random() < 0.15 and heads:  # the target took an earlier state of a branch: merge bases that cross
            middle = dict(tree)
            tip = history.commit(middle, [tip, at], "the target takes a branch")
            change(chance.getrandbits(32))(tree)
            at = history.commit(tree, [at, forks[-1][0]], f"branch {name} goes on")
        heads.append(at)
    names = history.write(repo)
    return names[tip], [names[head] for head in heads]


@dataclass
class Reference:
    """A clone with files, in which git does what the queue would do."""

    path: Path

    def run(self, *args: str) -> int:
        return subprocess.run(["git", "-C", str(self.path), *args], capture_output=True).returncode

    def tidy(self) -> None:
        git(self.path, "reset", "-q", "--hard")
        git(self.path, "clean", "-qffdx")

    def land(self, style: str, head: str) -> list[str] | None:
        """The trees that it put on the target; None for a conflict."""
        before = git(self.path, "rev-parse", "HEAD")
        if style == "rebase":
            failed = self.run("rebase", "-q", before, head)
            if failed:
                git(self.path, "rebase", "--abort")
                git(self.path, "checkout", "-qf", before)
        else:
            options = ("--no-ff", "-m", "landed") if style == "merge" else ("--squash",)
            failed = self.run("merge", "-q", *options, head)
            if style == "squash" and not failed:
                self.run("commit", "-qm", "landed")  # refused when there is nothing
        if failed:
            self.tidy()
            assert git(self.path, "rev-parse", "HEAD") == before
            return None
        self.tidy()
        return git(self.path, "log", "--first-parent", "--reverse", "--format=%T", f"{before}..HEAD").split()


def compare(folder: Path, seed: int, style: str) -> dict[str, int]:
    """Land the branches of a random history in both ways; returns how many landed and clashed."""
    repo = repos.make_repo(folder / "repo", {})
    tip, heads = branches(repo, seed, 1 + seed % 5)
    git(repo, "update-ref", "refs/heads/main", tip)
    git(repo, "clone", "-q", "--shared", "--no-checkout", ".", str(folder / "clone"))
    git(folder / "clone", "fetch", "-q", "origin", "refs/made/*:refs/made/*")
    git(folder / "clone", "checkout", "-q", "--detach", tip)
    reference = Reference(folder / "clone")
    objects = Objects(repo / ".git")
    merger = Merger(discover(repo), objects, lambda _: False)
    onto, counts = tip, {"landed": 0, "clashed": 0, "gone": 0}
    for number, head in enumerate(heads):
        where = f"seed {seed}, {style}, branch {number} of {len(heads)}"
        made = merger.candidate(onto, head, style, lambda tree, was: was or f"landed {tree}", MOMENT)
        before = git(reference.path, "rev-parse", "HEAD")
        wanted = reference.land(style, head)
        if isinstance(made, Clash) and wanted is not None and "leaves out merge commits" in made.text:
            assert git(repo, "rev-list", "--merges", f"{onto}..{head}"), where
            git(reference.path, "checkout", "-q", before)
            counts["clashed"] += 1
            continue
        if isinstance(made, Clash):
            assert wanted is None, f"{where}: git merges this\n{made.text}"
            assert made.paths
            assert all(path in made.text for path in made.paths), where
            counts["clashed"] += 1
            continue
        assert wanted is not None, f"{where}: git has a conflict"
        assert list(made.trees) == wanted, where
        assert merger.lost(head, onto, made.commit) == [], where
        missing = tokens(repo, head) - tokens(repo, *bases(repo, onto, head)) - tokens(repo, made.commit)
        assert not missing - (taken(repo, onto, head) if style == "rebase" else set()), where
        counts["landed" if made.trees else "gone"] += 1
        if style == "rebase":
            assert (
                described(repo, f"{onto}..{made.commit}") == described(reference.path, f"-{len(wanted)}") or not wanted
            )
        onto = made.commit
    return counts


def bases(repo: Path, one: str, other: str) -> list[str]:
    return git(repo, "merge-base", "--all", one, other).split()


def taken(repo: Path, onto: str, head: str) -> set[str]:
    """The tokens of commits that the target has taken by itself; it may have undone them since (seed 738)."""
    rows = [row.split() for row in git(repo, "cherry", onto, head).splitlines()]
    return tokens(repo, *(commit for sign, commit in rows if sign == "-"))


def tokens(repo: Path, *commits: str) -> set[str]:
    found: set[str] = set()
    for commit in commits:
        found |= set(re.findall(r"token\w{12}", git(repo, "grep", "-h", "-I", "token", commit, check=False)))
    return found


def described(repo: Path, commits: str) -> str:
    return git(repo, "log", "--format=%T %an <%ae> %ad %B", "--date=raw", commits)


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("seed", [*range(5), 738])
def test_what_lands_is_what_git_makes_in_a_checkout(tmp_path, style, seed):
    compare(tmp_path, seed, style)


@pytest.mark.soak
@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("part", range(10))
def test_what_lands_is_what_git_makes_in_a_checkout_100_times(tmp_path, style, part):
    counts = [compare(tmp_path / str(seed), seed, style) for seed in range(part * 100 + 100, part * 100 + 200)]
    assert sum(one["landed"] for one in counts) > 50
    assert sum(one["clashed"] for one in counts) > 20
