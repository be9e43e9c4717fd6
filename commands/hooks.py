"""Let hooks of git start runs: install, list or take away the hooks that [[trigger]] needs.

A trigger in .smithers/config.toml names a hook and a workflow. The hook notes what happened and returns at once; the
run goes on in the background. With wait = true git waits, and the run's verdict decides. Nothing of a repository runs
this way before you have said smithers trust.
"""

from __future__ import annotations

from pathlib import Path

import click

from smithers_git.cli import json_option


@click.group(help=__doc__, invoke_without_command=True)
@click.pass_context
def command(ctx: click.Context) -> None:
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_, as_json=False)


@command.command("install")
@click.argument("events", metavar="[HOOK]...", nargs=-1)
@json_option
def install(events: tuple[str, ...], as_json: bool) -> None:
    """Install the hooks that the triggers need, or those named.

    A hook that is there already is kept, and runs first. Where husky, lefthook or pre-commit owns the hooks, the lines
    to add to its file are printed, and nothing is touched. core.hooksPath is never set.
    """
    from smithers_git.front import hooks
    from smithers_git.service.hooks import install as put
    from smithers_git.service.project import Project

    project = Project.open(Path.cwd())
    hooks.say_done(project, put(project, events), as_json=as_json)


@command.command("list")
@json_option
def list_(as_json: bool) -> None:
    """Show whose each hook is, and what it sets off."""
    from smithers_git.front import hooks
    from smithers_git.service.project import Project

    hooks.show(Project.open(Path.cwd()), as_json=as_json)


@command.command("uninstall")
@click.argument("events", metavar="[HOOK]...", nargs=-1)
@json_option
def uninstall(events: tuple[str, ...], as_json: bool) -> None:
    """Take the hooks of smithers away and put back what stood there, byte for byte."""
    from smithers_git.front import hooks
    from smithers_git.service.hooks import uninstall as take_away
    from smithers_git.service.project import Project

    project = Project.open(Path.cwd())
    hooks.say_done(project, take_away(project, events), as_json=as_json)


@command.command("run", context_settings={"ignore_unknown_options": True})
@click.argument("event", required=False)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.option("--spool", type=click.Path(path_type=Path), hidden=True)  # the process behind a hook
@click.option("--record", type=click.Path(path_type=Path), hidden=True)  # the process in the place of a hook
@json_option
def run(event: str | None, arguments: tuple[str, ...], spool: Path | None, record: Path | None, as_json: bool) -> int:
    """Do what the hook EVENT does; for tools that run their hooks as commands.

    ARGUMENTS and standard input are those that git gave.
    """
    if spool is None and record is None:
        import sys

        from smithers_git.service.hook_entry import enter

        if event is None:
            raise click.UsageError("which hook? say post-commit, with the arguments that git gave it")
        given = sys.stdin.buffer.read() if event == "pre-push" and not sys.stdin.isatty() else b""
        return enter(event, arguments, given)

    from smithers_git.front import hooks

    if record is not None:
        return hooks.wait(Path.cwd(), record)
    assert spool is not None
    return hooks.drain(Path.cwd(), spool)
