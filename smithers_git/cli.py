"""The command line: verbs are loaded when they are used, and errors become text and an exit code here only."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from smithers_git import __version__
from smithers_git.edge import content, output
from smithers_git.errors import DiskFull, ExitCode, SmithersError, StorageError, is_full

F = TypeVar("F", bound=Callable[..., Any])

_SECTIONS: Mapping[str, tuple[str, ...]] = {
    "Start": ("init", "up", "graph", "demo", "agents", "starters", "skills", "mcp"),
    "Look": ("ps", "inspect", "why", "logs", "events", "chat", "output", "node", "diff", "board"),
    "Decide": ("inbox", "approve", "deny", "answer", "signal", "ask", "cancel", "pause", "hijack"),
    "Land": ("land", "queue", "verify"),
    "By itself": ("supervise", "hooks", "cron", "trust"),
    "Time travel": ("timeline", "rewind", "fork", "replay", "retry-task", "checkout"),
    "Upkeep": ("doctor", "reindex", "gc", "notify"),
}


_REFUSALS: Final = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EACCES, errno.EMFILE, errno.ENFILE}
"""What the system says of its own state, wherever it hits us: no bug, and nothing to report."""


class LazyGroup(click.Group):
    """Commands by file: the name is the file's, the help line is the first line of its docstring."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(content.command_files())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        path = content.command_files().get(cmd_name)
        if path is None:
            return None
        module = content.load_module(path, f"smithers_git._commands.{path.stem}")
        command = module.command
        assert isinstance(command, click.Command)
        command.name = cmd_name
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        files = content.command_files()
        placed = {name for names in _SECTIONS.values() for name in names}
        rest = tuple(name for name in files if name not in placed)
        for title, names in {**_SECTIONS, "More": rest}.items():
            rows = [(name, _help_line(files[name])) for name in names if name in files]
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            import difflib

            close = difflib.get_close_matches(args[0], content.command_files(), 1) if args else []
            if close:
                raise click.UsageError(f"{error.message} Did you mean {close[0]!r}?", ctx) from None
            raise


def _help_line(path: Path) -> str:
    """The first line of the file's docstring, with which every command file begins.

    It is read without running the file (40 imports would take half a second), or parsing it (30 ms).
    """
    with path.open(encoding="utf-8") as file:
        return file.readline().removeprefix('"""').rstrip('\n".')


@click.group(cls=LazyGroup, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "-V", "--version", prog_name="smithers")
@click.option("-C", "directory", metavar="DIR", type=click.Path(path_type=Path), help="Work as if started in DIR.")
@click.pass_context
def root(ctx: click.Context, directory: Path | None) -> None:
    """Run coding-agent work as durable workflows inside your own git repository."""
    if ctx.invoked_subcommand is None:
        output.emit(ctx.get_help())
    if directory is not None:
        try:
            os.chdir(directory)
        except OSError as error:
            raise SmithersError(
                f"cannot go to {directory}: {error.strerror}", hint="give an existing folder"
            ) from error


def json_option(function: F) -> F:
    """Add `--json`: the result as exactly one JSON document on stdout."""
    return click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")(function)


def client_options(function: F) -> F:
    """Add `--agent`, `--project` and `--json`, as the verbs take them that write for coding agents."""
    project = click.option("--project", is_flag=True, help="In this repository, and not for you everywhere.")
    told = "Only this one; repeatable. Default: all found here."
    agent = click.option("-a", "--agent", "names", multiple=True, metavar="NAME", help=told)
    return agent(project(json_option(function)))


def main() -> None:
    """Entry point of the program."""
    sys.exit(run(sys.argv[1:]))


def run(argv: list[str]) -> int:
    """Run one command; returns its exit code."""
    as_json = "--json" in argv
    try:
        result = root.main(args=argv, prog_name="smithers", standalone_mode=False)
        return int(result) if isinstance(result, int) else int(ExitCode.DONE)
    except click.ClickException as error:
        hint = "smithers --help lists what there is" if isinstance(error, click.UsageError) else ""
        if isinstance(error, click.UsageError) and error.ctx is not None:
            hint = f"{error.ctx.command_path} --help"
        return _refuse("usage", error.format_message(), hint, (as_json, ExitCode.USAGE))
    except SmithersError as error:
        return _refuse(error.code, error.message, error.hint, (as_json, error.exit_code))
    except (click.Abort, KeyboardInterrupt):
        output.note("interrupted")
        return int(ExitCode.INTERRUPTED)
    except OSError as error:
        if error.errno not in _REFUSALS:
            return _bug(error, argv, as_json)
        place = f"{error.filename}: " if error.filename else ""
        kind = DiskFull if is_full(error) else StorageError
        hint = "see `df` and `ulimit -n`, and whether the folder is writable; then run the command again"
        return _refuse(kind.code, f"{place}{error.strerror}", hint, (as_json, ExitCode.FAILED))
    except Exception as error:  # noqa: BLE001 - the last resort: a bug of ours is reported with a log, never a bare trace
        return _bug(error, argv, as_json)


def _refuse(code: str, message: str, hint: str, how: tuple[bool, ExitCode]) -> int:
    from smithers_git.core.redact import Redactor, secrets_of

    as_json, exit_code = how
    clean = Redactor(secrets_of(os.environ)).text  # a detached engine's errors go to a log
    message, hint = clean(message), clean(hint)
    if as_json:
        output.document({"error": {"code": code, "message": message, "hint": hint}})
    output.note(f"error: {message}")
    if hint:
        output.note(f"hint: {hint}")
    return int(exit_code)


def _bug(error: Exception, argv: list[str], as_json: bool) -> int:
    from smithers_git.edge import mishap

    log = mishap.write_log(error, f"arguments: {argv[:1]}")  # only the verb: the rest may hold a prompt or a secret
    hint = f"this is a bug of smithers; {log} is ready to attach to a report"
    return _refuse("internal", f"{type(error).__name__}: {error}", hint, (as_json, ExitCode.INTERNAL))
