"""What `smithers diff` and `smithers checkout` print."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from smithers_git.edge import output
from smithers_git.edge.git.diff import changed_files, diff, diff_stat
from smithers_git.edge.git.lay_out import lay_out
from smithers_git.errors import RunRefused, UsageError
from smithers_git.front.words import plural
from smithers_git.names import MAIN
from smithers_git.service.compare import Comparison, between, of_node, since_start
from smithers_git.service.project import Project
from smithers_git.service.travel import frame_at


def _find(project: Project, run: str, what: str | None, space: str | None) -> list[Comparison]:
    if what is None:
        return [since_start(project, run, space or MAIN)]
    if space:
        raise UsageError("--space goes without NODE and A..B", hint=f"smithers diff {run} --space {space}")
    return between(project, run, what) if ".." in what else of_node(project, run, what)


def document(project: Project, run: str, what: str | None, space: str | None = None) -> dict[str, Any]:
    """What a run, a node of it, or the step between two of its frames changed, for a program."""
    return {"run": run, "comparisons": [_document(project, one) for one in _find(project, run, what, space)]}


def show(project: Project, run: str, what: str | None, options: Mapping[str, Any]) -> None:
    """Print what a run, a node of it, or the step between two of its frames changed."""
    if options["as_json"]:
        output.document(document(project, run, what, options["space"]))
        return
    found = _find(project, run, what, options["space"])
    stat = options["stat"]
    output.page("\n".join(_text(project, one, stat=stat) for one in found))


def _document(project: Project, one: Comparison) -> dict[str, Any]:
    repo = project.repository
    return {
        "from": one.old_name,
        "to": one.new_name,
        "old": one.old,
        "new": one.new,
        "nodes": one.nodes,
        "files": changed_files(repo, one.old, one.new, *one.paths),
        "patch": diff(repo, one.old, one.new, *one.paths),
    }


def _text(project: Project, one: Comparison, *, stat: bool) -> str:
    color, repo = output.colored(), project.repository
    differ = diff_stat if stat else diff
    patch = differ(repo, one.old, one.new, *one.paths, color=color)
    body = "\n\n".join(filter(None, ["\n".join(one.nodes), patch])) or "nothing differs"
    return output.paint(f"from {one.old_name} to {one.new_name}", "dim") + "\n" + body + "\n"


def checkout(project: Project, run: str, path: str, options: Mapping[str, Any]) -> None:
    """Write old files of a run into a new folder, or print one of them."""
    number = project.chain(run).state.number if options["frame"] is None else options["frame"]
    frame = frame_at(project, run, number)
    space = options["space"] or MAIN
    tree = project.objects.find(frame.tree, f"code/{space}")
    if tree is None and space == MAIN:  # before the first task there is no workspace yet, only what it will begin with
        tree = project.chain(run).at(frame.commit).base
    if tree is None:
        there = project.objects.find(frame.tree, "code")
        known = ", ".join(project.objects.read_tree(there)) if there else "none"
        raise RunRefused(f"frame {number} of run {run} has no workspace {space!r}", hint=f"it has: {known}")
    if options["show"]:
        _print(project, tree, path, as_json=options["as_json"])
        return
    target = options["into"] or Path(f"{run}-frame-{number}")
    names = lay_out(project.repository, tree, path, target)
    if options["as_json"]:
        where = {"run": run, "frame": number, "space": space, "folder": str(target.resolve())}
        output.document({**where, "files": names})
        return
    output.emit(f"{plural(len(names), 'file')} of frame {number} in {target}")
    output.note(f"nothing else was touched; compare with: git diff --no-index {target} .")


def _print(project: Project, tree: str, path: str, *, as_json: bool) -> None:
    """One file, as a checkout would write it."""
    with tempfile.TemporaryDirectory(prefix="smithers-print-") as scratch:
        folder = Path(scratch, "files")
        files = lay_out(project.repository, tree, path, folder)
        file = folder / path.strip("/")
        if len(files) != 1 or file.is_dir():
            raise UsageError(f"{path!r} is a folder of {plural(len(files), 'file')}", hint="name one file for --print")
        data = str(file.readlink()).encode() if file.is_symlink() else file.read_bytes()
    if as_json:
        output.document({"path": path, "text": data.decode("utf-8", "replace")})
        return
    output.binary(data)
