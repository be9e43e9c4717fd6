"""Runs that are over, folded into one chain of commits, so that the number of refs does not grow with every run.

`refs/smithers/archive` points at a commit whose tree lists every folded run (`runs/<run>`) and every tail that a
rewind of it left (`rewound/<run>/<n>`), each as a link to the commit that its ref was at. Parents keep those commits:
the former archive, and what was folded. A run that has a ref of its own stands where that ref says; writing to a
folded run makes it again. So every step here may be cut off: what is listed and has a ref too counts once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from smithers_git.edge.git import ref_list
from smithers_git.errors import RefMoved
from smithers_git.names import ARCHIVE, OURS, REWOUND, RUNS, run_ref

if TYPE_CHECKING:  # pygit2 comes with it
    from smithers_git.edge.git.entries import Entry
    from smithers_git.edge.git.objects import Objects

LINK: Final = 0o160000
"""The mode of an entry that names a commit, as a submodule's does: git neither follows nor copies it."""
_PARENTS: Final = 64
"""Commits that one commit of the archive keeps besides the former one; git's own tools slow down at hundreds."""
_TRIES: Final = 20


def refs(objects: Objects) -> dict[str, str]:
    """What is folded: the full name of the ref that it had, to its commit."""
    tip = objects.ref(ARCHIVE)
    return _listed(objects, tip) if tip else {}


def tips(objects: Objects) -> dict[str, str]:
    """Every folded run to the commit of its newest frame."""
    tip = objects.ref(ARCHIVE)
    found = objects.find(objects.read_commit(tip).tree, "runs") if tip else None
    return {name: entry.oid for name, entry in objects.read_tree(found).items()} if found else {}


def all_tips(common_dir: Path) -> dict[str, str] | None:
    """Every run, folded or not, to the commit of its newest frame, as git lists them; None when it cannot."""
    # Refs first: what is folded in between is then found at least once.
    own = ref_list.refs(common_dir, RUNS)
    newest = ref_list.refs(common_dir, ARCHIVE)
    if own is None or newest is None:
        return None
    folded = ref_list.links(common_dir, newest[ARCHIVE], "runs") if newest else {}
    return None if folded is None else folded | {name.removeprefix(RUNS): tip for name, tip in own.items()}


def tip(objects: Objects, run: str) -> str | None:
    """The newest frame of a folded run; None when it is not folded."""
    newest = objects.ref(ARCHIVE)
    return objects.find(objects.read_commit(newest).tree, f"runs/{run}") if newest else None


def tails(objects: Objects, run: str, own: Mapping[str, str] | None = None) -> dict[str, str]:
    """The tails that rewinds of a run left, by the names of their refs, whether folded or not.

    `own` has all refs below `refs/smithers/`, for one who asks for many runs: else all refs are looked through.
    """
    prefix = f"{REWOUND}{run}/"
    loose = objects.refs(prefix) if own is None else {name: oid for name, oid in own.items() if name.startswith(prefix)}
    newest = objects.ref(ARCHIVE)
    folder = objects.find(objects.read_commit(newest).tree, f"rewound/{run}") if newest else None
    folded = objects.read_tree(folder) if folder else {}
    return {f"{prefix}{name}": entry.oid for name, entry in folded.items()} | loose


def fold(objects: Objects, wanted: Mapping[str, str], moment: float) -> None:
    """List these refs (full name to commit), then remove those of them that still are where they were.

    Raises as `Objects.advance` does. A ref that somebody moved meanwhile stays, and counts.
    """
    for _ in range(_TRIES):
        before = objects.ref(ARCHIVE)
        listed = _listed(objects, before) if before else {}
        fresh = {name: oid for name, oid in wanted.items() if listed.get(name) != oid}
        if not fresh:
            break
        with suppress(RefMoved):  # another gc was quicker; its list is read again
            objects.advance(ARCHIVE, before, _chain(objects, before, listed | fresh, list(fresh.values()), moment))
    for name, oid in wanted.items():
        with suppress(RefMoved):
            objects.delete_ref(name, oid)


def drop(objects: Objects, names: set[str], moment: float) -> None:
    """Take refs off the list and let go of what only they kept: the archive is written anew without them."""
    for _ in range(_TRIES):
        before = objects.ref(ARCHIVE)
        listed = _listed(objects, before) if before else {}
        rest = {name: oid for name, oid in listed.items() if name not in names}
        if before is None or rest == listed:
            return None
        with suppress(RefMoved):
            if not rest:
                return objects.delete_ref(ARCHIVE, before)
            return objects.advance(ARCHIVE, before, _chain(objects, None, rest, list(rest.values()), moment))
    raise RefMoved(f"{ARCHIVE} was moved again and again by another process")


def bring_back(objects: Objects, run: str) -> None:
    """Give a folded run its refs again, before something is written to it: the tails first, as the run makes it count.

    The list keeps it; the next fold brings the list up to date.
    """
    if objects.ref(run_ref(run)) is not None:
        return
    folded = tip(objects, run)
    if folded is None:
        return
    for name, oid in tails(objects, run).items():
        with suppress(RefMoved):  # it is there already
            objects.advance(name, None, oid)
    with suppress(RefMoved):
        objects.advance(run_ref(run), None, folded)


def _listed(objects: Objects, newest: str) -> dict[str, str]:
    return dict(_walk(objects, objects.read_commit(newest).tree, OURS))


def _walk(objects: Objects, tree: str, prefix: str) -> Iterator[tuple[str, str]]:
    for path, entry in objects.files(tree, prefix):
        yield path, entry.oid


def _chain(objects: Objects, before: str | None, listed: Mapping[str, str], keep: list[str], moment: float) -> str:
    """Commits that keep `keep`, the newest with the list; returns that one."""
    tree = _tree(objects, {name.removeprefix(OURS): oid for name, oid in listed.items()})
    distinct = list(dict.fromkeys(keep))
    number = sum(name.startswith(RUNS) for name in listed)
    newest = before
    for start in range(0, len(distinct), _PARENTS):
        parents = [*([newest] if newest else []), *distinct[start : start + _PARENTS]]
        newest = objects.write_commit(tree, parents, f"archive of {number} runs\n", int(moment))
    assert newest is not None
    return newest


def _tree(objects: Objects, listed: Mapping[str, str]) -> str:
    from smithers_git.edge.git.entries import TREE, Entry

    entries: dict[str, Entry] = {}
    below: dict[str, dict[str, str]] = {}
    for path, oid in listed.items():
        head, _, rest = path.partition("/")
        if rest:
            below.setdefault(head, {})[rest] = oid
        else:
            entries[head] = Entry(LINK, oid)
    for name, inner in below.items():
        entries[name] = Entry(TREE, _tree(objects, inner))
    return objects.write_tree(entries)
