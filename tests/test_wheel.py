"""What a user installs: sdist → wheel → an environment of its own, and then the program itself."""

from __future__ import annotations

import ast
import email
import json
import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import textwrap
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from kit import repos
from kit.repos import git, write

from smithers_git.edge.lock import holding

ROOT = Path(__file__).resolve().parent.parent
CONTENT = ("commands", "agents", "packs", "hooks", "skills")
PROBE = "hooks/probe-hook"
"""A hook that is put into the unpacked sdist: it must arrive as it is, executable."""

pytestmark = pytest.mark.skipif(
    not (ROOT / "pyproject.toml").is_file(), reason="the tests do not lie beside the source"
)


@dataclass(frozen=True)
class Installed:
    """What was built, and where it was installed."""

    sdist: Path
    wheel: Path
    source: Path
    """The unpacked sdist."""
    bin: Path

    def run(self, *argv: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.bin / argv[0], *argv[1:]], cwd=cwd, capture_output=True, text=True, stdin=subprocess.DEVNULL
        )


def _do(*argv: str | Path, cwd: Path) -> None:
    done = subprocess.run(argv, cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, f"{argv}\n{done.stdout}\n{done.stderr}"


def _build(place: Path) -> None:
    """Without a network: with the build backend and the libraries of this environment."""
    backend = [sys.executable, "-m", "hatchling", "build", "-d", place / "dist"]
    _do(*backend, "-t", "sdist", cwd=ROOT)
    (sdist,) = (place / "dist").glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(place / "source", filter="data")
    (source,) = (place / "source").iterdir()
    write(source, {PROBE: "#!/bin/sh\nexec smithers --version\n"})
    (source / PROBE).chmod(0o755)
    _do(*backend, "-t", "wheel", cwd=source)
    (wheel,) = (place / "dist").glob("*.whl")
    _do(sys.executable, "-m", "venv", "--without-pip", place / "env", cwd=place)
    pip = [sys.executable, "-m", "pip", "--python", place / "env" / "bin" / "python", "--disable-pip-version-check"]
    _do(*pip, "install", "--no-index", "--no-deps", wheel, cwd=place)
    # The libraries, and not the programs, of the environment that runs the tests. Its .pth files (an editable install
    # of this project may be among them) are not looked at.
    (packages,) = (place / "env").glob("lib/python*/site-packages")
    (packages / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n" + sysconfig.get_path("platlib") + "\n")


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Installed:
    """Built once for all workers of xdist."""
    shared = tmp_path_factory.getbasetemp()
    if os.environ.get("PYTEST_XDIST_WORKER"):
        shared = shared.parent
    place = shared / "wheel"
    with holding(shared / "wheel.lock", 120):
        if not (place / "env" / "lib").is_dir():
            place.mkdir()
            _build(place)
    (sdist,), (wheel,) = (place / "dist").glob("*.tar.gz"), (place / "dist").glob("*.whl")
    (source,) = (place / "source").iterdir()
    return Installed(sdist, wheel, source, place / "env" / "bin")


def tracked(*folders: str) -> set[str]:
    """Files that are in git, or will be with the next `git add`."""
    argv = ["git", "-C", ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *folders]
    done = subprocess.run(argv, capture_output=True, text=True)
    if done.returncode:
        pytest.skip("not a git checkout")
    return {name for name in done.stdout.split("\0") if name and (ROOT / name).is_file()}


def test_the_sdist_has_all_that_a_build_and_its_tests_need(installed):
    with tarfile.open(installed.sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames() if not archive.getmember(name).isdir()}
    missing = (
        tracked("smithers_git", *CONTENT, "tests", "Makefile", "README.md", "LICENSE", "requirements.lock") - names
    )
    assert not missing
    odd = [name for name in names if "__pycache__" in name or name.startswith((".venv", ".smithers", ".git/"))]
    assert not odd


def test_the_wheel_has_the_package_and_the_content_and_nothing_else(installed):
    with zipfile.ZipFile(installed.wheel) as wheel:
        names = {name for name in wheel.namelist() if ".dist-info/" not in name}
        modes = {info.filename: info.external_attr >> 16 for info in wheel.infolist()}
    wanted = tracked("smithers_git")
    wanted |= {f"smithers_git/_content/{name}" for name in {*tracked(*CONTENT), PROBE}}
    assert names - wanted == set(), "ignored files, or such at the top, where they would shadow other packages"
    assert wanted - names == set()
    for name in tracked(*CONTENT):
        in_git = (ROOT / name).stat().st_mode & 0o111
        assert bool(modes[f"smithers_git/_content/{name}"] & 0o111) == bool(in_git), f"{name} changed its mode"


def test_a_hook_arrives_executable(installed):
    (hook,) = installed.bin.parent.glob(f"lib/python*/site-packages/smithers_git/_content/{PROBE}")
    assert hook.stat().st_mode & 0o111 == 0o111
    assert hook.read_text() == "#!/bin/sh\nexec smithers --version\n"


def test_every_library_that_is_imported_is_declared(installed):
    with zipfile.ZipFile(installed.wheel) as wheel:
        (metadata,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
        declared = email.message_from_bytes(wheel.read(metadata)).get_all("Requires-Dist") or []
        sources = {name: wheel.read(name).decode() for name in wheel.namelist() if name.endswith(".py")}
    names = {re.split(r"[^A-Za-z0-9_-]", requirement)[0].lower().replace("-", "_") for requirement in declared}
    # What a declared library is built on and hands out.
    brought = {"ptyprocess": "pexpect", "uvicorn": "mcp", "mcp_types": "mcp", "anyio": "mcp"}
    brought |= {"fastmcp": "pydantic_ai_slim", "pydantic_ai": "pydantic_ai_slim", "genai_prices": "pydantic_ai_slim"}
    for path, text in sources.items():
        if "/_content/packs/_demo/" in path:
            continue
        for node in ast.walk(ast.parse(text)):
            tops = []
            if isinstance(node, ast.Import):
                tops = [alias.name.split(".")[0] for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                tops = [str(node.module).split(".")[0]]
            for top in tops:
                known = top in sys.stdlib_module_names or top in ("smithers_git", "_signal")
                assert known or brought.get(top, top) in names, f"{path} imports {top}, which nobody would install"


def test_help_lists_exactly_the_files_of_commands(installed, tmp_path):
    done = installed.run("smithers", "--help", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    listed = set(re.findall(r"^  ([a-z][a-z-]*)  +\S", done.stdout, re.MULTILINE))
    assert listed == {path.stem.replace("_", "-") for path in (ROOT / "commands").glob("*.py")}
    version = installed.run("smithers", "--version", cwd=tmp_path).stdout
    assert re.search(r"\b\d+\.\d+\.\d+", version)


HELP = textwrap.dedent("""
    import contextlib, io, json, sys
    import smithers_git
    from smithers_git import cli
    from smithers_git.edge import content
    said = {}
    for verb in content.command_files():
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            code = cli.run([verb, "--help"])
        said[verb] = [code, out.getvalue()]
    packs = {name: str(path) for name, path in content.list_packs(None).items()}
    agents = {name: str(path) for name, path in content.list_agents(None).items()}
    print(json.dumps({"file": smithers_git.__file__, "said": said, "packs": packs, "agents": agents}))
""")


def test_every_command_helps_and_packs_and_agents_are_found(installed, tmp_path):
    done = installed.run("python", "-c", HELP, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    inside = str(installed.bin.parent)
    assert found["file"].startswith(inside), "the wheel is what is tested"
    for verb, (code, text) in found["said"].items():
        assert code == 0, verb
        assert f"smithers {verb}" in text or "Usage:" in text, verb
    assert {"plan", "research", "implement", "review", "debug"} <= found["packs"].keys()
    assert {"claude", "codex", "script"} <= found["agents"].keys()
    assert all(path.startswith(inside) for path in (*found["packs"].values(), *found["agents"].values()))


FLOW = """\
from smithers_git import Parallel, Sequence, Task, workflow
from .near import double


@workflow
def flow(ctx):
    return Sequence(
        Parallel(Task("one", value=1), Task("files", run="ls; echo made > made.txt")),
        Task("two", call=lambda one: double(one)),
    )
"""


def test_a_run_of_a_small_workflow_works(installed, tmp_path):
    repo = repos.make_repo(tmp_path / "my repo")
    write(repo, {"flows/flow.py": FLOW, "flows/near.py": "def double(x): return 2 * x\n"})
    done = installed.run("smithers", "up", "flows/flow.py", "--run-id", "small", "--json", cwd=repo)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["run"] == "small"
    frame = "refs/smithers/runs/small"
    assert git(repo, "show", f"{frame}:code/main/made.txt") == "made"
    assert git(repo, "show", f"{frame}:outputs/000/two@0.json") == "2"
    assert git(repo, "show", f"{frame}:source/pack/near.py").startswith("def double")
    shown = installed.run("smithers", "ps", "--json", cwd=repo)
    assert [run["run"] for run in json.loads(shown.stdout)["runs"]] == ["small"]
    assert git(repo, "status", "--porcelain") == "?? flows/", "and nothing else was left in the checkout"
    assert not list(repo.rglob("__pycache__"))


def test_a_pack_of_the_wheel_can_be_drawn(installed, tmp_path):
    repo = repos.make_repo(tmp_path / "repo", {"Makefile": "test:\n\ttrue\n"})
    done = installed.run("smithers", "graph", "plan", "--prompt", "a plan", cwd=repo)
    assert done.returncode == 0, done.stderr
    assert "plan" in done.stdout
