"""Hooks of git that start runs: installed, listed, taken away; and what they left in the spool worked off."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from smithers_git.edge import content
from smithers_git.edge.git import hook_files
from smithers_git.edge.lock import FileLock
from smithers_git.errors import HookError, NotTrusted, SmithersError, UsageError
from smithers_git.service.project import Project

if TYPE_CHECKING:
    from smithers_git.core.hook_record import HookRecord
    from smithers_git.core.trigger import Occasion, TriggerSettings

_PRE_COMMIT: Final = """\
# in .pre-commit-config.yaml, below repos: (then: pre-commit install --hook-type {event})
  - repo: local
    hooks:
      - id: smithers-{event}
        name: smithers
        entry: smithers hooks run {event}
        language: system
        stages: [{event}]
        always_run: true
        pass_filenames: {names}
        verbose: true
"""
_LEFTHOOK: Final = """\
# in lefthook.yml (then: lefthook install)
{event}:
  commands:
    smithers:
      run: smithers hooks run {event} {{0}}{stdin}
"""
_HUSKY: Final = """\
# at the end of .husky/{event}
smithers hooks run {event} "$@"
"""


@dataclass(frozen=True, slots=True)
class Installed:
    """One hook: where it is, whose it is, and what became of it."""

    event: str
    path: str
    holder: str
    done: str = ""
    """installed, chained, renewed, removed, restored; empty when nothing was done."""
    kept: bool = False
    """An older hook is called by ours."""
    snippet: str = ""
    """What to add to the tool's own file, where a tool owns the hooks."""


def listed(project: Project) -> list[Installed]:
    """Every hook that can set off a trigger, as it is now."""
    from smithers_git.core.trigger import HOOKS

    return [_state(project, event) for event in HOOKS]


def wanted(project: Project) -> list[str]:
    """The hooks that the triggers of the configuration need."""
    from smithers_git.core.trigger import HOOKS

    return [event for event in HOOKS if any(trigger.on == event for trigger in project.settings.trigger)]


def install(project: Project, events: Iterable[str]) -> list[Installed]:
    """Put our shim at these hooks, or at those that the triggers need when none is named.

    A hook that stands there is kept and called first. Where husky, lefthook or pre-commit owns it, nothing is touched,
    and `snippet` says what to add to that tool's file.

    Raises:
        UsageError: a name that is no such hook.
        HookError: nothing is to be installed, or an older hook is in the way.
    """
    named = _checked(events) or wanted(project)
    if not named:
        raise HookError(
            "no trigger needs a hook", hint="add a [[trigger]] to .smithers/config.toml, or name the hook to install"
        )
    # The built-in one, never the repository's own: a hook that came with a clone must not be put in place by a name.
    shim = content.builtin_root() / "hooks" / "shim"
    found = []
    for event in named:
        before = _state(project, event)
        if before.holder in ("husky", "lefthook", "pre-commit"):
            found.append(before)
            continue
        done = hook_files.install(project.repository, shim, event)
        found.append(_state(project, event, done))
    return found


def uninstall(project: Project, events: Iterable[str]) -> list[Installed]:
    """Take our hooks away and put back what stood there; returns those that were ours."""
    from smithers_git.core.trigger import HOOKS

    found = []
    for event in _checked(events) or HOOKS:
        done = hook_files.uninstall(project.repository, event)
        if done is not None:
            found.append(_state(project, event, done))
    return found


def _checked(events: Iterable[str]) -> list[str]:
    from smithers_git.core.trigger import HOOKS

    names = list(dict.fromkeys(events))
    for name in names:
        if name not in HOOKS:
            raise UsageError(f"smithers has no use for a hook {name!r}", hint=f"there are: {', '.join(HOOKS)}")
    return names


def _state(project: Project, event: str, done: str = "") -> Installed:
    place = hook_files.folder(project.repository)
    holder = hook_files.holder(place, event)
    return Installed(event, str(place / event), holder, done, hook_files.kept(place, event), _snippet(holder, event))


def _snippet(holder: str, event: str) -> str:
    if holder == "husky":
        return _HUSKY.format(event=event)
    if holder == "lefthook":
        return _LEFTHOOK.format(event=event, stdin="\n      use_stdin: true" if event == "pre-push" else "")
    if holder == "pre-commit":
        return _PRE_COMMIT.format(event=event, names="true" if event == "commit-msg" else "false")
    return ""


# -- the spool


def drain(project: Project, spool: Path, say: Callable[[str], None]) -> None:
    """Begin the runs of all that lies in the spool, in the background, oldest first. One process at a time does it.

    What cannot be begun is said and dropped: a hook that fired is over.
    """
    lock = FileLock(project.state_dir / "locks" / "hooks.lock")
    while records := _waiting(spool):
        if not lock.try_acquire({"doing": "hooks"}):
            return  # whoever has it looks once more after letting go
        try:
            for path in records:
                try:
                    begin(project, read(project, path), say)
                except SmithersError as error:
                    say(f"{path.name}: {error.message}; {error.hint}")
                path.unlink(missing_ok=True)
        finally:
            lock.release()


def begin(project: Project, record: HookRecord, say: Callable[[str], None]) -> list[tuple[TriggerSettings, str]]:
    """Begin the runs of one record. Those that nobody waits for go on in the background; returns the others."""
    from smithers_git.service import triggers

    waited = []
    for trigger, occasion in matching(project, record):
        try:
            begun = triggers.begin(project, trigger, occasion)
        except NotTrusted:
            raise
        except SmithersError as error:
            if trigger.wait:
                raise
            say(f"trigger {trigger.name}: {error.message}; {error.hint}")
            continue
        if trigger.wait:
            waited.append((trigger, begun.run))
            continue
        triggers.go_on(project, begun)
        say(f"trigger {trigger.name}: run {begun.run}" + ("" if begun.fresh else " has been there before"))
    return waited


def matching(project: Project, record: HookRecord) -> list[tuple[TriggerSettings, Occasion]]:
    """The triggers that a record sets off, each with what it is about."""
    from smithers_git.core.hook_record import occasions
    from smithers_git.service import triggers

    return [(t, occasion) for occasion in occasions(record) for t in triggers.fitting(project, occasion)]


def read(project: Project, path: Path) -> HookRecord:
    """A record of the spool. Raises HookError: it is damaged, or git meant another repository than this one."""
    from pydantic import ValidationError

    from smithers_git.core.hook_record import HookRecord

    try:
        record = HookRecord.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise HookError(f"{path} cannot be read: {error}", hint="it is passed over") from error
    if not Path(record.common).samefile(project.repository.common_dir):
        raise HookError(
            f"git worked on {record.common}, but {record.top} belongs to {project.repository.common_dir}",
            hint="nothing is started for a repository whose files lie where only GIT_DIR or GIT_WORK_TREE say",
        )
    return record


def require_spool(folder: Path) -> None:
    """Raise UsageError unless the folder is a spool: whoever works it off removes what lies in it."""
    if folder.parts[-2:] != ("smithers", "queue-in"):
        raise UsageError(f"{folder} is not where hooks leave what they noted", hint="smithers hooks --help")


def _waiting(spool: Path) -> list[Path]:
    return sorted(spool.glob("*.json")) if spool.is_dir() else []
