"""The workflow of a run: found, loaded, pinned and compared."""

from __future__ import annotations

from pathlib import Path

import pytest
from kit.repos import write

from smithers_git.errors import ContentError, SourceChanged, UsageError, WorkflowError
from smithers_git.service import source
from smithers_git.service.source import PACK, Location

FLOW = """\
from smithers_git import Task, workflow


@workflow
def flow(ctx):
    return Task("a", value=1)
"""


@pytest.fixture
def tree(tmp_path):
    """A checkout with a workflow file and a pack."""
    write(
        tmp_path,
        {
            "flows/flow.py": FLOW,
            "flows/other.py": "secret = 1\n",
            "flows/prompts/ask.md": "Ask {{ what }} of {{ input }}\n",
            ".smithers/packs/ours/workflow.py": "from .helpers import x\n" + FLOW,
            ".smithers/packs/ours/helpers.py": "x = 1\n",
            ".smithers/packs/ours/data/notes.txt": "notes\n",
            ".smithers/packs/ours/prompts/ask.md": "Ask\n",
            ".smithers/packs/ours/__pycache__/x.cpython-311.pyc": "no",
        },
    )
    return tmp_path


def load(tree: Path, argument: str) -> source.Source:
    return source.load(source.locate(argument, tree, tree))


# -- where


@pytest.mark.parametrize(
    ("argument", "cwd", "expected"),
    [
        ("flows/flow.py", ".", ("flows/flow.py", "flow.py", False)),
        ("flow.py", "flows", ("flows/flow.py", "flow.py", False)),
        ("../flows/flow.py", "flows", ("flows/flow.py", "flow.py", False)),
        ("ours", ".", ("ours", "workflow.py", True)),
        (".smithers/packs/ours", ".", (".smithers/packs/ours", "workflow.py", True)),
        (".smithers/packs/ours/workflow.py", ".", ("ours", "workflow.py", True)),
        ("implement", ".", ("implement", "workflow.py", True)),
    ],
)
def test_a_workflow_is_named_by_file_folder_or_pack(tree, argument, cwd, expected):
    found = source.locate(argument, tree, tree / cwd)
    assert (found.name, found.entry, found.whole) == expected


def test_a_file_elsewhere_is_named_by_its_whole_path(tree, tmp_path_factory):
    other = tmp_path_factory.mktemp("other") / "flow.py"
    other.write_text(FLOW)
    assert source.locate(str(other), tree, tree).name == str(other)


@pytest.mark.parametrize(
    ("argument", "message", "hint"),
    [
        ("implemnt", "there is no workflow 'implemnt'", "did you mean 'implement'?"),
        ("zzz", "there is no workflow 'zzz'", "ours"),
        ("no/such.py", "no such file", "or a file"),
        ("flows", "there is no workflow 'flows'", "ours"),
        ("flows/", "there is no workflow 'flows/'", "ours"),
    ],
)
def test_what_is_not_there_is_said_with_what_is(tree, argument, message, hint):
    with pytest.raises(ContentError) as caught:
        source.locate(argument, tree, tree)
    assert message in caught.value.message
    assert hint in caught.value.hint


# -- loading


def test_a_single_file_brings_its_prompts_and_imports_and_nothing_else(tree):
    write(tree, {"flows/flow.py": "from .near import x\n" + FLOW, "flows/near.py": "x = 1\n"})
    found = load(tree, "flows/flow.py")
    assert sorted(found.files) == ["flow.py", "near.py", "prompts/ask.md"]
    assert found.workflow.name == "flow"


def test_a_pack_brings_all_of_its_folder(tree):
    assert sorted(load(tree, "ours").files) == ["data/notes.txt", "helpers.py", "prompts/ask.md", "workflow.py"]


BROKEN = {
    "syntax": ("def broken(:\n", "flow.py:1: ", "SyntaxError"),
    "an import that is not there": ("\n\nimport no_such_thing\n", "flow.py:3: ", "ModuleNotFoundError"),
    "an error at the top": ("x = 1\ny = 1 / 0\n", "flow.py:2: ", "ZeroDivisionError"),
    "an error in a helper": ("from .bad import x\n", "bad.py:2: ", "KeyError"),
    "an exit": ("import sys\nsys.exit('enough')\n", "flow.py:2: ", "SystemExit"),
    "no workflow": ("x = 1\n", "flow.py: ", "no workflow in this file"),
    "two workflows": (FLOW + FLOW.replace("def flow", "def second"), "flow.py: ", "2 workflows (flow, second)"),
    "a workflow of another file": ("from .real import flow\n", "flow.py: ", "no workflow in this file"),
    "not UTF-8": (b"x = '\xff'\n", "flow.py:", "SyntaxError"),
    "a NUL": (b"x = 1\0\n", "flow.py", "null byte"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_file_that_cannot_be_loaded_names_file_line_and_error(tree, name):
    text, place, said = BROKEN[name]
    write(tree, {"flows/flow.py": text, "flows/bad.py": "y = {}\nx = y['x']\n", "flows/real.py": FLOW})
    with pytest.raises(WorkflowError) as caught:
        load(tree, "flows/flow.py")
    assert place in caught.value.message
    assert said in caught.value.message
    assert caught.value.hint


def test_a_huge_file_in_a_pack_is_refused(tree):
    write(tree, {".smithers/packs/ours/model.bin": bytes(3 << 20)})
    with pytest.raises(ContentError, match=r"model\.bin is over 2 MiB"):
        load(tree, "ours")


def test_a_workflow_that_raises_names_the_line_of_its_author(tree):
    write(tree, {"flows/flow.py": FLOW.replace('Task("a", value=1)', "Task(ctx.nothing)")})
    found = load(tree, "flows/flow.py")
    with pytest.raises(WorkflowError, match=r"flow\.py:6: the workflow raised: AttributeError"):
        source.guard(lambda: found.workflow.render(None), found.location.folder, "the workflow raised")


def test_an_exit_of_a_workflow_does_not_end_the_program(tree):
    write(tree, {"flows/flow.py": FLOW.replace('Task("a", value=1)', "exit(3)")})
    found = load(tree, "flows/flow.py")
    with pytest.raises(WorkflowError, match="SystemExit: 3"):
        source.guard(lambda: found.workflow.render(None), found.location.folder, "the workflow raised")


def test_our_own_errors_pass_the_guard_as_they_are(tree):
    def refuse():
        raise UsageError("m", hint="h")

    with pytest.raises(UsageError, match=r"^m$"):
        source.guard(refuse, tree, "x")


# -- prompts


def test_a_prompt_is_a_template_of_the_values(tree):
    assert load(tree, "flows/flow.py").render("ask.md", {"what": "<b>", "input": "all"}) == "Ask <b> of all"


@pytest.mark.parametrize(
    ("name", "text", "message", "hint"),
    [
        ("aks.md", "", "prompt file 'aks.md' not found in", "did you mean 'ask.md'?"),
        ("zzz", "", "prompt file 'zzz' not found in", "create the file"),
        ("ask.md", "{{ nothing }}", "prompts/ask.md:1: 'nothing' is undefined", "pass the value"),
        ("ask.md", "one\n{% if %}", "prompts/ask.md:2: ", "mend the template"),
        ("ask.md", "\n{{ what.nothing.more }}", "prompts/ask.md:2: ", "pass the value"),
        ("ask.md", "{% include 'other' %}", "prompts/ask.md:1: TypeError: ", ""),
        ("ask.md", "one\ntwo\n{{ 1 / 0 }}", "prompts/ask.md:3: ZeroDivisionError: ", ""),
    ],
)
def test_a_prompt_that_cannot_be_made_says_which_and_why(tree, name, text, message, hint):
    if text:
        write(tree, {"flows/prompts/ask.md": text})
    found = load(tree, "flows/flow.py")
    with pytest.raises(WorkflowError) as caught:
        found.render(name, {"what": "x"})
    assert message in caught.value.message
    assert hint in caught.value.hint


def test_a_prompt_error_names_the_line_that_asked_for_it(tree):
    write(tree, {"flows/flow.py": FLOW.replace("value=1", 'value=ctx.prompt("zzz.md")')})
    found = load(tree, "flows/flow.py")

    class Ctx:
        def prompt(self, name):
            return found.render(name, {})

    with pytest.raises(WorkflowError, match=r"flow\.py:6: prompt file 'zzz\.md' not found"):
        found.workflow.render(Ctx())


# -- pinned


def pinned(found: source.Source) -> dict[str, bytes]:
    return {PACK + path: data for path, data in found.files.items()} | {"agents/claude.toml": b"x"}


def test_an_unchanged_workflow_differs_in_nothing(tree):
    found = load(tree, "ours")
    assert source.changes(found, pinned(found)) == []
    source.refuse_changes("r", found, pinned(found))


def test_what_changed_is_listed(tree):
    before = pinned(load(tree, "ours"))
    write(tree, {".smithers/packs/ours/helpers.py": "x = 2\n", ".smithers/packs/ours/new.txt": ""})
    (tree / ".smithers/packs/ours/prompts/ask.md").unlink()
    with pytest.raises(SourceChanged) as caught:
        source.refuse_changes("r7", load(tree, "ours"), before)
    assert caught.value.message.endswith(": changed helpers.py, deleted prompts/ask.md, added new.txt")
    assert "--accept-change" in caught.value.hint
    assert "r7" in caught.value.hint


@pytest.mark.parametrize("argument", ["ours", "flows/flow.py"])
def test_a_workflow_that_is_gone_from_the_disk_is_taken_from_the_run(tree, tmp_path_factory, argument):
    found = load(tree, argument)
    files, shelf = pinned(found), tmp_path_factory.mktemp("shelf") / "source"
    empty = tmp_path_factory.mktemp("empty")
    again = source.reload(found.location.name, found.location.entry, files, empty, shelf)
    assert again.workflow.name == "flow"
    assert source.changes(again, files) == []
    assert str(shelf) in again.workflow.where


def test_the_shelf_holds_what_is_pinned_now_and_nothing_older(tree, tmp_path_factory):
    found = load(tree, "ours")
    shelf, empty = tmp_path_factory.mktemp("shelf") / "source", tmp_path_factory.mktemp("empty")
    source.reload("ours", "workflow.py", pinned(found), empty, shelf)
    fewer = {path: data for path, data in pinned(found).items() if "notes" not in path}
    again = source.reload("ours", "workflow.py", fewer, empty, shelf)
    assert source.changes(again, fewer) == []


def test_a_workflow_that_is_there_but_cannot_be_taken_is_said_and_not_replaced(tree, tmp_path_factory):
    found = load(tree, "ours")
    write(tree, {".smithers/packs/ours/model.bin": bytes(3 << 20)})
    with pytest.raises(ContentError, match="over 2 MiB"):
        source.reload("ours", "workflow.py", pinned(found), tree, tmp_path_factory.mktemp("shelf"))


def test_a_location_is_where_it_stands(tree):
    assert load(tree, "flows/flow.py").location == Location("flows/flow.py", tree / "flows", "flow.py", whole=False)
