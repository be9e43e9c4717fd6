"""What every command has in common: help, start-up, one JSON document, errors that say what to do."""

from __future__ import annotations

import ast
import subprocess
import sys

import pytest
from kit.runs import Shipped, Smithers

from smithers_git import cli
from smithers_git.edge import content

HEAVY = ("pydantic", "pygit2", "sqlite3", "sqlite_utils", "questionary", "rich", "jinja2", "pexpect", "tomlkit")
VERBS = sorted(content.command_files())


@pytest.mark.parametrize("verb", VERBS)
def test_every_command_explains_itself(verb: str, smithers: Smithers) -> None:
    said = smithers(verb, "--help")

    assert said.out.startswith(f"Usage: smithers {verb}")
    first = said.out.split("\n\n")[1].strip()
    assert first, "the first line of the docstring is the help"


def _loaded(*commands: list[str]) -> set[str]:
    """Top-level names of the modules that a process has imported after these commands."""
    code = "import sys; from smithers_git import cli\n"
    code += "".join(f"cli.run({argv!r})\n" for argv in commands) + "print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in done.stderr.split()}


def test_the_list_of_commands_loads_nothing_heavy() -> None:
    assert not _loaded(["--help"]) & set(HEAVY)


def test_the_help_of_all_commands_together_loads_nothing_heavy() -> None:
    assert not _loaded(*([verb, "--help"] for verb in VERBS)) & set(HEAVY)


def test_ps_on_a_current_index_loads_neither_pydantic_nor_pygit2(shipped: Shipped) -> None:
    shipped.smithers("ps")  # whatever was stale is not any more

    assert not _loaded(["ps"]) & (set(HEAVY) - {"sqlite3"})


def test_without_a_command_the_list_of_commands_is_shown(smithers: Smithers) -> None:
    assert "Time travel" in smithers().out


@pytest.mark.parametrize(
    "argv",
    [
        ("inspect", "nope"),
        ("node", "nope", "x"),
        ("output", "nope"),
        ("logs", "nope"),
        ("events", "nope"),
        ("chat", "nope"),
        ("why", "nope"),
        ("timeline", "nope"),
        ("diff", "nope"),
        ("checkout", "nope"),
        ("cancel", "nope"),
        ("pause", "nope"),
        ("approve", "nope"),
        ("deny", "nope"),
        ("rewind", "nope", "--frame", "0", "--yes"),
        ("fork", "nope"),
        ("replay", "nope"),
        ("retry-task", "nope", "x"),
        ("graph", "--run", "nope"),
    ],
    ids=lambda argv: argv[0],
)
def test_an_unknown_run_is_refused_with_the_command_that_lists_them(argv: tuple[str, ...], smithers: Smithers) -> None:
    said = smithers(*argv, "--json", code=1)

    assert said.json["error"]["code"] == "run-not-found"
    assert "smithers ps" in said.json["error"]["hint"]
    assert "nope" in said.err


@pytest.mark.parametrize("verb", ["inspect", "logs", "events", "chat", "why", "timeline", "diff"])
def test_without_any_run_the_newest_one_cannot_be_meant(verb: str, smithers: Smithers) -> None:
    assert "no run in this repository yet" in smithers(verb, code=1).err


@pytest.mark.parametrize("verb", ["logs", "chat"])
def test_a_stream_is_no_json_document(verb: str, smithers: Smithers) -> None:
    assert smithers.json(verb, "-f", code=2)["error"]["code"] == "usage"


def test_a_run_is_found_by_the_beginning_of_its_id(shipped: Shipped) -> None:
    assert shipped.smithers.json("inspect", shipped.run[:3])["run"] == shipped.run


def test_the_help_line_of_a_command_is_the_first_line_of_its_docstring() -> None:
    for name, path in content.command_files().items():
        docstring = ast.get_docstring(ast.parse(path.read_text("utf-8"))) or ""
        assert cli._help_line(path) == docstring.partition("\n")[0].removesuffix("."), name
