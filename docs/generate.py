"""Write docs/commands.md and smithers_git/help.txt from the help texts, and the table of profiles in docs/agents.md.

`make docs` runs it. A test compares the files with this.
"""

from __future__ import annotations

from pathlib import Path

import click

from smithers_git import cli, errors
from smithers_git.core.profile import Profile, load_profile
from smithers_git.edge import content

HEAD = """\
# Commands

Written by `make docs` from `smithers COMMAND --help`; do not edit.

Every command takes `--json`: exactly one JSON document on standard output, everything else on standard error. Without a
terminal nothing is asked. RUN is a run id; as with commits, its first characters do as long as they are unique.
`smithers -C DIR COMMAND` works as if started in DIR.
"""
EXIT_CODES = {
    errors.ExitCode.DONE: "done",
    errors.ExitCode.FAILED: "the run failed, or the request was refused",
    errors.ExitCode.USAGE: "the command line cannot be used as given",
    errors.ExitCode.WAITING: "the run waits, or can be resumed",
    errors.ExitCode.CANCELLED: "the run was cancelled",
    errors.ExitCode.INTERNAL: "a bug of smithers; it names a log file ready to attach",
    errors.ExitCode.INTERRUPTED: "interrupted (Ctrl-C); the run can be resumed",
    errors.ExitCode.TERMINATED: "terminated (SIGTERM); the run can be resumed",
}


def page() -> str:
    """The whole page."""
    parts = [HEAD]
    for title, names in sections():
        parts.append(f"## {title}\n")
        parts += [entry(name) for name in names]
    parts.append("## Exit codes\n\n| code | meaning |\n|---|---|")
    parts[-1] += "".join(f"\n| {int(code)} | {text} |" for code, text in EXIT_CODES.items()) + "\n"
    parts.append(
        '## Errors\n\nWith `--json` an error is `{"error": {"code", "message", "hint"}}`. The codes:\n\n'
        "| code | exit | when |\n|---|---|---|"
    )
    parts[-1] += "".join(f"\n| `{code}` | {exit} | {when} |" for code, exit, when in errors.table()) + "\n"
    return "\n".join(parts)


def help_page() -> str:
    """smithers_git/help.txt: what `smithers --help` prints, made beforehand."""
    # click keeps two columns free of the 80 that it fills.
    context = click.Context(cli.root, info_name="smithers", terminal_width=78, **cli.root.context_settings)
    return cli.root.get_help(context) + "\n"


def sections() -> list[tuple[str, list[str]]]:
    """Commands as `smithers --help` groups them."""
    known = list(content.command_files())
    found = [(title, [name for name in names if name in known]) for title, names in cli._SECTIONS.items()]
    placed = {name for _, names in found for name in names}
    rest = [name for name in known if name not in placed]
    return [(title, names) for title, names in [*found, ("More", rest)] if names]


def entry(name: str) -> str:
    """The help of one command and of the commands below it."""
    command = cli.root.get_command(click.Context(cli.root), name)
    assert command is not None
    texts = [_help(command, f"smithers {name}")]
    if isinstance(command, click.Group):
        texts += [_help(below, f"smithers {name} {each}") for each, below in sorted(command.commands.items())]
    blocks = "\n\n".join(f"```text\n{text}\n```" for text in texts)
    return f"### smithers {name}\n\n{blocks}\n"


def _help(command: click.Command, path: str) -> str:
    settings = cli.root.context_settings
    context = click.Context(command, info_name=path, terminal_width=80, **settings)
    return command.get_help(context).rstrip()


def agents_page() -> str:
    """docs/agents.md with its table of the built-in profiles as they are."""
    text = (Path(__file__).parent / "agents.md").read_text("utf-8")
    head, mark, rest = text.partition("<!-- profiles: written by docs/generate.py -->\n")
    end = rest.index("<!-- end -->")
    return f"{head}{mark}{_profiles()}{rest[end:]}"


def _profiles() -> str:
    rows = ["| agent | program | proven with | may | conversation |", "| --- | --- | --- | --- | --- |"]
    for name, path in content.list_agents(None).items():
        if name == "script":  # the one that plays, for trying things out
            continue
        profile = load_profile(path.read_text("utf-8"), str(path))
        proven = profile.proven or f"*not proven*: {profile.unproven}"
        scope = _SCOPES[profile.session.scope]
        rows.append(f"| `{name}` | `{profile.program[0]}` | {proven} | {_levels(profile)} | {scope} |")
    return "\n".join(rows) + "\n"


_SCOPES = {"none": "none", "folder": "in its folder", "moves": "anywhere"}


def _levels(profile: Profile) -> str:
    """What it may do unasked, the default first."""
    permission = profile.permission
    if permission is None:
        return "everything"
    levels = [level for level in ("read", "edit", "full") if getattr(permission, level) is not None]
    return ", ".join(sorted(levels, key=lambda level: level != permission.default))


def main() -> None:
    here = Path(__file__).parent
    (here / "commands.md").write_text(page(), encoding="utf-8")
    (here / "agents.md").write_text(agents_page(), encoding="utf-8")
    (here.parent / "smithers_git" / "help.txt").write_text(help_page(), encoding="utf-8")


if __name__ == "__main__":
    main()
