"""The workflow of a run: found, loaded, pinned in frame 0, and compared with what lies on the disk at a resume."""

from __future__ import annotations

import difflib
import re
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from smithers_git.core.workflow import Workflow
from smithers_git.edge import content
from smithers_git.errors import ContentError, SmithersError, SourceChanged, WorkflowError

PACK: Final = "pack/"
"""Where the workflow's files stand below `source/` in a frame."""
_MOST: Final = 2 << 20
_IGNORED: Final = {"__pycache__"}


@dataclass(frozen=True, slots=True)
class Location:
    """Where a workflow stands on the disk."""

    name: str
    """What `smithers up` is told: a pack id, or the file's path relative to the checkout."""
    folder: Path
    entry: str
    whole: bool
    """True for a pack: every file of the folder belongs to it. False for a single file among others."""


@dataclass(slots=True)
class Source:
    """A loaded workflow with the bytes that it was loaded from."""

    location: Location
    workflow: Workflow[Any]
    files: dict[str, bytes]
    _templates: dict[str, Any] = field(default_factory=dict)

    def render(self, name: str, values: Mapping[str, Any]) -> str:
        """The prompt file `name` filled in; raises WorkflowError (missing file, unknown value, broken template)."""
        import jinja2

        where = caller(self.location.folder) or self.workflow.where
        template = self._templates.get(name)
        if template is None:
            data = self.files.get(f"prompts/{name}")
            if data is None:
                prompts = [path.removeprefix("prompts/") for path in self.files if path.startswith("prompts/")]
                close = difflib.get_close_matches(name, prompts, 1)
                raise WorkflowError(
                    f"{where}: prompt file {name!r} not found in {self.location.folder / 'prompts'}",
                    hint=f"did you mean {close[0]!r}?" if close else "create the file",
                )
            environment = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=False)
            try:
                template = self._templates[name] = environment.from_string(data.decode("utf-8", "replace"))
            except jinja2.TemplateSyntaxError as error:
                raise WorkflowError(
                    f"prompts/{name}:{error.lineno}: {error.message}", hint="mend the template"
                ) from error
        try:
            return str(template.render(**values))
        except Exception as error:  # a template computes: it may raise anything
            line = next((f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == "<template>"), 1)
            said = str(error) if isinstance(error, jinja2.TemplateError) else f"{type(error).__name__}: {error}"
            raise WorkflowError(
                f"{where}: prompts/{name}:{line}: {said}", hint="pass the value: ctx.prompt(name, value=…)"
            ) from error


def caller(folder: Path) -> str | None:
    """File and line of the innermost function on the stack whose file lies below `folder`."""
    frame = sys._getframe(1)
    while frame is not None:
        if Path(frame.f_code.co_filename).is_relative_to(folder):
            return f"{frame.f_code.co_filename}:{frame.f_lineno}"
        frame = frame.f_back  # type: ignore[assignment]
    return None


def locate(argument: str, worktree: Path, cwd: Path) -> Location:
    """The workflow that `argument` names: a file, a pack folder or a pack id; raises ContentError."""
    path = (cwd / argument).resolve()
    looks_like_path = "/" in argument or argument.endswith(".py")
    if looks_like_path and path.is_file():
        return _file(path, worktree)
    if looks_like_path and (path / "workflow.py").is_file():
        return Location(_relative(path, worktree), path, "workflow.py", whole=True)
    folder = content.find_pack(argument, worktree)
    if folder is not None:
        return Location(argument, folder, "workflow.py", whole=True)
    packs = content.list_packs(worktree)
    close = difflib.get_close_matches(argument, packs, 1)
    raise ContentError(
        f"there is no workflow {argument!r}" + (f" (no such file: {path})" if looks_like_path else ""),
        hint=f"did you mean {close[0]!r}?" if close else f"workflows here: {', '.join(packs)}; or a file",
    )


def _file(path: Path, worktree: Path) -> Location:
    if path.name == "workflow.py" and path.parent.parent.name == "packs":
        return Location(path.parent.name, path.parent, path.name, whole=True)
    return Location(_relative(path, worktree), path.parent, path.name, whole=False)


def _relative(path: Path, worktree: Path) -> str:
    return str(path.relative_to(worktree)) if path.is_relative_to(worktree) else str(path)


_LOADING: Final = threading.Lock()
"""Runs that use each other load the same files at the same time, under the same name of a module."""


def load(location: Location) -> Source:
    """Load the workflow; raises WorkflowError naming file and line when the file raises or holds no workflow."""
    with _LOADING:
        return _load(location)


def _load(location: Location) -> Source:
    path = location.folder / location.entry
    name = "smithers_git._packs." + re.sub(r"\W", "_", location.name)
    module = guard(lambda: content.load_module(path, name), location.folder, f"{path} could not be loaded")
    found = {id(value): value for value in vars(module).values() if isinstance(value, Workflow)}
    own = [workflow for workflow in found.values() if workflow.render.__module__ == name]
    if len(own) != 1:
        names = ", ".join(workflow.name for workflow in own)
        raise WorkflowError(
            f"{path}: " + (f"{len(own)} workflows ({names}), one is wanted" if own else "no workflow in this file"),
            hint="decorate exactly one function with @workflow",
        )
    return Source(location, own[0], _collect(location, name))


def _collect(location: Location, module: str) -> dict[str, bytes]:
    folder = location.folder
    paths = {folder / location.entry, *(p for p in (folder / "prompts").rglob("*") if p.is_file())}
    paths |= {p for p in content.modules_below(module).values() if p.is_relative_to(folder)}
    if location.whole:
        paths |= {p for p in folder.rglob("*") if p.is_file()}
    return _read(folder, paths)


def _read(folder: Path, paths: set[Path]) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    for path in sorted(paths):
        relative = path.relative_to(folder)
        if _IGNORED & set(relative.parts) or path.suffix == ".pyc":
            continue
        if path.stat().st_size > _MOST:
            raise ContentError(f"{path} is over 2 MiB", hint="keep data out of the workflow's folder")
        files[relative.as_posix()] = path.read_bytes()
    return files


def guard(do: Callable[[], Any], folder: Path, doing: str) -> Any:
    """Run a function of the workflow's author; whatever it raises becomes a WorkflowError with its file and line."""
    try:
        return do()
    except SmithersError:
        raise
    except (Exception, SystemExit) as error:
        raise WorkflowError(
            f"{author_line(error, folder)}: {doing}: {type(error).__name__}: {error}",
            hint="mend the workflow, then run the command again",
        ) from error


def author_line(error: BaseException, folder: Path) -> str:
    """File and line, within `folder` if possible, at which `error` was raised."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}"
    lines = traceback.extract_tb(error.__traceback__)
    own = [line for line in lines if Path(line.filename).is_relative_to(folder)]
    last = (own or lines)[-1]
    return f"{last.filename}:{last.lineno}"


def pinned(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """The workflow's own files among the pinned ones."""
    return {path.removeprefix(PACK): data for path, data in files.items() if path.startswith(PACK)}


def changes(source: Source, files: Mapping[str, bytes]) -> list[str]:
    """What differs between the loaded workflow and the pinned `files`, as `changed workflow.py` lines."""
    old, new = pinned(files), source.files
    found = [f"changed {path}" for path in sorted(old.keys() & new.keys()) if old[path] != new[path]]
    found += [f"deleted {path}" for path in sorted(old.keys() - new.keys())]
    return found + [f"added {path}" for path in sorted(new.keys() - old.keys())]


def reload(name: str, entry: str, files: Mapping[str, bytes], worktree: Path, shelf: Path) -> Source:
    """The workflow of an existing run, from the disk, or from its pinned files where the disk no longer has it.

    `shelf` is a folder of our own to lay the pinned files down in.
    """
    try:
        location = locate(name, worktree, worktree)
    except ContentError:
        location = _lay_down(Location(name, shelf, entry, whole=True), pinned(files))
    return load(location)


def _lay_down(location: Location, files: Mapping[str, bytes]) -> Location:
    for old in location.folder.rglob("*"):
        if old.is_file() and old.relative_to(location.folder).as_posix() not in files:
            old.unlink(missing_ok=True)
    for path, data in files.items():
        target = location.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    return location


def refuse_changes(run: str, source: Source, files: Mapping[str, bytes]) -> None:
    """Raise SourceChanged, with the list of files, when the workflow is not the one that the run started with."""
    differing = changes(source, files)
    if differing:
        raise SourceChanged(
            f"the workflow of run {run} has changed since it started: {', '.join(differing)}",
            hint=f"smithers up --resume {run} --accept-change goes on with the files as they are now",
        )
