"""The shape of the project, checked: floors, budgets, homes. Each failure says why the rule is there."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import click
import pytest

from smithers_git.edge import content

ROOT = Path(__file__).resolve().parent.parent
CONTENT = ("commands", "agents", "packs", "hooks", "skills")

pytestmark = pytest.mark.skipif(
    not (ROOT / "smithers_git").is_dir(), reason="the tests do not lie beside the source here"
)


@cache
def modules() -> dict[str, Path]:
    """Module name to file, of the whole package."""
    found = {}
    for path in (ROOT / "smithers_git").rglob("*.py"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts).removesuffix(".__init__")] = path
    return dict(sorted(found.items()))


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


def sources() -> list[Path]:
    """Our Python files, the content folders included, tests not."""
    return [*modules().values(), *(p for name in CONTENT for p in sorted((ROOT / name).rglob("*.py")))]


@cache
def _anywhere(path: Path) -> tuple[ast.AST, ...]:
    """The imports of a file. A walk through every file for every rule took 15 of the 18 s of this page."""
    return tuple(node for node in ast.walk(parsed(path)) if isinstance(node, ast.Import | ast.ImportFrom))


def imported(path: Path, nodes: Iterator[ast.AST] | None = None) -> set[str]:
    """What a file imports, anywhere in it: of our own package by module, of others by their full name."""
    found = set()
    for node in _anywhere(path) if nodes is None else nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level or "packs" in path.parts, f"{path}: relative imports hide which floor they reach"
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in modules() else str(node.module) for name in names}
    return found


def at_the_top(path: Path) -> Iterator[ast.AST]:
    """Statements that run when the file is imported; `if TYPE_CHECKING` does not."""
    pending: list[ast.AST] = list(parsed(path).body)
    while pending:
        node = pending.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        yield node
        pending.extend(ast.iter_child_nodes(node))


def ours(names: set[str]) -> set[str]:
    return {name for name in names if name.split(".")[0] == "smithers_git"}


# -- floors

LEAF = {"smithers_git", "smithers_git.errors", "smithers_git.names", "smithers_git.clock"}
FLOORS = ("leaf", "core", "edge", "service", "front", "cli")


def floor(module: str) -> str:
    if module in LEAF:
        return "leaf"
    name = module.split(".")[1]
    return "cli" if name in ("cli", "__main__") else name


@pytest.mark.parametrize("module", [module for module in modules() if module != "smithers_git"])
def test_imports_go_down_only(module):
    mine = FLOORS.index(floor(module))
    for other in ours(imported(modules()[module])) - {module}:
        assert FLOORS.index(floor(other)) <= mine, (
            f"{module} imports {other}: arrows go down only (leaf, core, edge, service, front, cli), "
            "so that each floor can be read and tested without the ones above it"
        )


PURE = {
    "__future__", "ast", "collections", "collections.abc", "copy", "dataclasses", "datetime", "difflib", "enum",
    "functools", "graphlib", "hashlib", "heapq", "inspect", "itertools", "json", "math", "pydantic", "pydantic.errors",
    "re", "shlex", "string", "sys", "textwrap", "tomllib", "typing", "unicodedata",
}  # fmt: skip
DEEDS = {"open", "print", "input", "exec", "eval", "breakpoint"}
READS = {
    "datetime.now",
    "date.today",
    "dt.now",
    "time.time",
    "os.environ",
    "sys.argv",
    "sys.stdin",
    "sys.stdout",
    "sys.stderr",
}
WHY_PURE = "core is pure, so that every decision can be tested by tables and replayed from frames"


@pytest.mark.parametrize("module", [module for module in modules() if floor(module) == "core"])
def test_the_core_does_nothing_and_reads_nothing(module):
    path = modules()[module]
    outside = imported(path) - ours(imported(path)) - PURE - {"pathlib"}
    assert not outside, f"{module} imports {sorted(outside)}: {WHY_PURE}. If it is pure, add it to PURE in this test"
    assert "smithers_git.clock" not in imported(path), f"{module} imports the clock: {WHY_PURE}; pass `now` instead"
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in DEEDS, f"{module}:{node.lineno} calls {node.func.id}: {WHY_PURE}"
        if isinstance(node, ast.Attribute):
            assert ast.unparse(node) not in READS, f"{module}:{node.lineno} reads {ast.unparse(node)}: {WHY_PURE}"
        if isinstance(node, ast.ImportFrom) and node.module == "pathlib":
            names = {alias.name for alias in node.names}
            assert all(name.startswith("Pure") for name in names), f"{module} imports {names}: {WHY_PURE}; use PurePath"


# An edge is the sole home of one outside thing. git needs the other two to drive its command line.
# The tools of a model run commands and ask git which files are ignored.
BETWEEN_EDGES = {("git", "process"), ("git", "lock"), ("sdk", "process"), ("sdk", "git")}


def test_edges_do_not_know_each_other():
    for module, path in modules().items():
        if floor(module) != "edge" or module == "smithers_git.edge":
            continue
        mine = module.split(".")[2]
        for other in ours(imported(path)):
            if floor(other) == "edge" and other != "smithers_git.edge":
                theirs = other.split(".")[2]
                assert theirs == mine or (mine, theirs) in BETWEEN_EDGES, (
                    f"{module} imports {other}: an edge that knows another one cannot be replaced or tested alone; "
                    "let a service bring them together"
                )


HOMES = {
    "pygit2": "smithers_git.edge.git.objects",
    "sqlite3": "smithers_git.edge.index",
    "sqlite_utils": "smithers_git.edge.index",
    "tomlkit": "smithers_git.edge.config",
    "questionary": "smithers_git.edge.ask",
    "fcntl": "smithers_git.edge.lock",
    "pydantic_ai": "smithers_git.edge.sdk",
    "fastmcp": "smithers_git.edge.sdk",
    "subprocess": "smithers_git.edge.process",
    "pexpect": "smithers_git.edge.process",
    "ptyprocess": "smithers_git.edge.process",
    "ctypes": "smithers_git.edge.process",
    "mcp": "smithers_git.edge.mcp",
    "mcp_types": "smithers_git.edge.mcp",
    "uvicorn": "smithers_git.edge.mcp",
}


# Programs of their own, started by path with `python -I -S`.
APART = {"smithers_git.edge.player", "smithers_git.edge.process.reaper", "smithers_git.edge.git.hook"}


@pytest.mark.parametrize("module", sorted(APART))
def test_a_program_apart_uses_the_standard_library_only(module):
    known = sys.stdlib_module_names
    strange = {name for name in imported(modules()[module]) if name.split(".")[0] not in known}
    assert not strange, f"{module} imports {strange}, which `python -I -S` does not find"


@pytest.mark.parametrize("library", HOMES)
def test_an_outside_thing_has_one_home(library):
    inside = {module: path for module, path in modules().items() if module not in APART}
    users = {m for m, path in inside.items() if any(name.split(".")[0] == library for name in imported(path))}
    strangers = {module for module in users if not module.startswith(HOMES[library])}
    assert not strangers, (
        f"{sorted(strangers)} import {library}; its sole home is {HOMES[library]}, "
        "so that its errors and habits are translated in one place"
    )


def test_the_engine_imports_no_content():
    for module, path in modules().items():
        found = {name for name in imported(path) if name.split(".")[0] in CONTENT}
        assert not found, (
            f"{module} imports {found}: content is found by path and may be replaced by a repository's own"
        )


def test_nothing_imports_in_a_circle():
    graph = {module: ours(imported(path, at_the_top(path))) - {module} for module, path in modules().items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"imports in a circle: {' → '.join(error.args[1])}; such modules are one module in two files")


# -- content

COMMANDS_MAY = {
    "smithers_git.cli", "smithers_git.errors", "smithers_git.names", "smithers_git.clock", "smithers_git.edge.output",
    "smithers_git.edge.ask",
}  # fmt: skip


@pytest.mark.parametrize("path", sorted((ROOT / "commands").glob("*.py")), ids=lambda path: path.stem)
def test_a_command_is_thin_and_whole(path):
    for name in ours(imported(path)) - COMMANDS_MAY:
        assert floor(name) in ("front", "service"), (
            f"{path.name} imports {name}: a command reads its arguments, calls one function and prints; "
            "what it does belongs to a service"
        )
    assert not imported(path, at_the_top(path)) - {"__future__", "click", "pathlib", "typing", *COMMANDS_MAY}, (
        f"{path.name} imports more than click when it is loaded: --help and TAB must stay quick"
    )
    module = content.load_module(path, f"smithers_git._commands.{path.stem}")
    assert isinstance(module.command, click.Command), f"{path.name} has no click command named `command`"
    first = (module.__doc__ or "").partition("\n")[0]
    assert first.endswith("."), f"{path.name}: the first line of its docstring is its line in --help, a sentence"
    assert len(first) <= 100, f"{path.name}: that line has {len(first)} characters, a list of them is not read any more"
    assert module.command.help, f"{path.name} shows no help: @click.command(help=__doc__)"


@pytest.mark.parametrize(
    "path", sorted((ROOT / "packs").glob("*/*.py")), ids=lambda path: f"{path.parent.name}/{path.name}"
)
def test_a_pack_uses_only_what_its_users_may_use(path):
    inner = {name for name in ours(imported(path)) if name != "smithers_git"}
    assert not inner, f"{path} imports {inner}: users copy packs, and may rely on `from smithers_git import …` only"


def test_a_hook_is_a_shim():
    for path in (ROOT / "hooks").iterdir():
        if path.name == ".gitkeep":
            continue
        lines = path.read_text("utf-8").splitlines()
        assert lines[0].startswith("#!"), f"{path} is started by git, so it needs a #! line"
        assert len(lines) <= 20, f"{path} has {len(lines)} lines: a hook only calls smithers, which can be tested"
        assert path.stat().st_mode & 0o100, f"{path} is not executable: git passes over it with a hint nobody reads"


def test_the_content_folders_are_no_packages():
    for name in CONTENT:
        assert (ROOT / name).is_dir()
        assert not (ROOT / name / "__init__.py").exists(), (
            f"{name}/__init__.py would make an importable top-level `{name}`, which shadows libraries (openai-agents)"
        )


# -- budgets

FILE_LINES, FUNCTION_LINES, PARAMETERS = 400, 60, 5
# Each with its reason.
MANY_PARAMETERS = {
    "smithers_git/core/nodes.py:Task.__init__": "the options of a task, all of them keywords with a default",
    "smithers_git/core/nodes.py:Approval.__init__": "those of a question to a person, in the same way",
    "smithers_git/core/flow_nodes.py:Subflow.__init__": "those of another run, in the same way",
    "smithers_git/core/queue_nodes.py:Land.__init__": "those of a landing, in the same way",
    "smithers_git/core/wait_nodes.py:HumanTask.__init__": "those of a question, in the same way",
    "smithers_git/core/wait_nodes.py:Signal.__init__": "those of a signal, in the same way",
    "smithers_git/core/wait_nodes.py:Timer.__init__": "those of a timer, in the same way",
    "smithers_git/core/wait_nodes.py:Poller": "those of a loop and of its pause",
    "smithers_git/core/queue_nodes.py:MergeQueue.__init__": "what its landings have in common",
}


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_functions_keep_their_budgets(path):
    name = path.relative_to(ROOT).as_posix()
    lines = len(path.read_text("utf-8").splitlines())
    assert lines <= FILE_LINES, f"{name} has {lines} lines: one that is read as a whole has at most {FILE_LINES}"
    for holder, function in functions(parsed(path)):
        size = (function.end_lineno or 0) - function.lineno + 1
        assert size <= FUNCTION_LINES, (
            f"{name}:{function.lineno} {function.name} has {size} lines: more than {FUNCTION_LINES} do not fit a screen"
        )
        taken = [a for a in ast.walk(function.args) if isinstance(a, ast.arg) and a.arg not in ("self", "cls")]
        if name.startswith("commands/") or f"{name}:{holder}{function.name}" in MANY_PARAMETERS:
            continue  # a command has a parameter for each of its options
        assert len(taken) <= PARAMETERS, (
            f"{name}:{function.lineno} {function.name} takes {len(taken)}: what belongs together makes a value"
        )


def functions(tree: ast.AST, holder: str = "") -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield holder, node
        yield from functions(node, f"{node.name}." if isinstance(node, ast.ClassDef) else holder)


def test_the_exceptions_are_still_needed():
    known = {f"{p.relative_to(ROOT).as_posix()}:{h}{f.name}" for p in sources() for h, f in functions(parsed(p))}
    assert not MANY_PARAMETERS.keys() - known, "an exception for a function that is gone hides the next one"


# -- packaging


@cache
def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def keys(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from keys(inner)


def test_dev_mode_is_not_exact():
    assert "dev-mode-exact" not in set(keys(project())), (
        "with dev-mode-exact an editable install copies the content into the package, and the copy wins"
    )


def test_the_wheel_takes_all_content_folders():
    included = project()["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    assert included == {name: f"smithers_git/_content/{name}" for name in CONTENT}


def test_the_lock_has_names_versions_and_hashes_only():
    text = (ROOT / "requirements.lock").read_text("utf-8")
    assert "://" not in text, "an address in the lock would send every user to one server"
    assert not re.search(r"^\s*(-i|--index|--extra-index|--find-links|-f)\b", text, re.MULTILINE)
    wanted = re.split(r"\n(?=\S)", text.strip())
    for requirement in wanted:
        if not requirement.startswith("#"):
            assert re.match(r"[A-Za-z0-9_.-]+==\S+", requirement), f"no exact version: {requirement[:60]}"
            assert "--hash=sha256:" in requirement, f"without a hash anything could be installed: {requirement[:60]}"
    locked = {re.split(r"[=\s]", line)[0].lower().replace("_", "-") for line in wanted}
    direct = [*project()["project"]["dependencies"], *project()["dependency-groups"]["dev"]]
    names = {re.split(r"[<>=~\s\[]", name)[0].lower().replace("_", "-") for name in direct}
    assert not names - locked, f"make lock was not run after adding {sorted(names - locked)}"


# Spelled in parts, so that this file does not hold what it looks for.
HOSTS = [".".join(parts) for parts in (("pypi", "org"), ("pythonhosted", "org"), ("npmjs", "org"), ("npmjs", "com"))]


def tracked() -> list[Path]:
    done = subprocess.run(["git", "-C", ROOT, "ls-files", "-z"], capture_output=True)
    if done.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in done.stdout.decode().split("\0") if name and (ROOT / name).is_file()]


def test_no_file_names_a_package_server_or_somebodys_folder():
    here = (str(ROOT) + "/").encode()
    for path in tracked():
        data = path.read_bytes()
        named = [host for host in HOSTS if host.encode() in data]
        assert not named, f"{path} names {named}: which server packages come from is the user's choice"
        if ROOT.parent != Path("/"):
            assert here not in data, f"{path} names the folder {ROOT}, which exists on one machine only"


def test_every_test_is_found():
    for path in (ROOT / "tests").rglob("*.py"):
        if path.name.endswith("_test.py") or (path.name.startswith("test") and not path.name.startswith("test_")):
            pytest.fail(f"{path} is not collected: its name must begin with test_")
    assert not list((ROOT / "tests").rglob("__init__.py")), (
        "tests are imported by path; packages would shadow the real ones"
    )
