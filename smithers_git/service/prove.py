"""Which agents there are, and proof that one works: one tiny task, for real, through the code path of every task."""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from pydantic import BaseModel

from smithers_git.core.command_line import version_note
from smithers_git.core.nodes import Task
from smithers_git.core.profile import Profile
from smithers_git.edge import content, process
from smithers_git.errors import SmithersError
from smithers_git.names import TaskKey
from smithers_git.service import pools
from smithers_git.service.job import Job, Result
from smithers_git.service.live import Live, Watch
from smithers_git.service.project import Project
from smithers_git.service.talk.converse import converse

_QUICK: Final = 20.0
"""Seconds for a CLI to tell its version or whether it is logged in; a Node CLI needs about one."""
WORD: Final = "smithers-was-here"
FILE: Final = "proof.txt"
_NODE: Final = "agent-test"
_PROMPT: Final = (
    f"This is a test of your setup. Create the file {FILE} in the current folder, containing exactly the word {WORD}. "
    "Then say in your answer which word you wrote."
)
_SCRIPT: Final = f"""\
[[turn]]
say = "Writing the file."
write = [{{ path = "{FILE}", text = "{WORD}\\n" }}]
answer = {{ word = "{WORD}" }}
"""


class Proof(BaseModel):
    """What the agent is asked to answer."""

    word: str


@dataclass(frozen=True, slots=True)
class Agent:
    """What is known of one profile without spending a token."""

    name: str
    origin: str
    """The profile's file."""
    builtin: bool
    trouble: str = ""
    """Why the profile cannot be used; then nothing else is known."""
    program: str | None = None
    version: str = ""
    note: str = ""
    """What is to be said of the version; empty inside the tested range."""
    logged_in: bool | None = None
    """None when the profile knows no way to tell."""
    install: str = ""


def agents(project: Project) -> list[Agent]:
    """Every profile, the repository's own and the built-in ones."""
    return [survey(project, name) for name in content.list_agents(project.worktree)]


def survey(project: Project, name: str) -> Agent:
    """One agent: whether its program is there, which version, whether it is logged in. Raises AgentError: no such."""
    path = pools.profile_file(project, name)
    known = Agent(name, str(path), builtin=path.is_relative_to(content.builtin_root() / "agents"))
    try:
        profile = pools.profile(project, name)
    except SmithersError as error:
        return replace(known, trouble=f"{error.message}; {error.hint}")
    program = pools.program(project, profile)
    known = replace(known, program=program, install=profile.install)
    if program is None:
        return known
    printed = _ask(project, profile, program, profile.version.argv) if profile.version else (0, "")
    match = profile.version.regex.search(printed[1]) if profile.version else None
    return replace(
        known,
        version=match[1] if match else "",
        note=version_note(profile, printed[1]),
        logged_in=_logged_in(project, profile, program),
    )


def _logged_in(project: Project, profile: Profile, program: str) -> bool | None:
    login = profile.login
    if login is None:
        return None
    if any(project.environ.get(name) for name in login.env):
        return True
    return _ask(project, profile, program, login.argv)[0] == 0 if login.argv else False


def _ask(project: Project, profile: Profile, program: str, words: tuple[str, ...]) -> tuple[int, str]:
    """Exit code and output of a quick question to a CLI, in an empty folder: some write where they stand."""
    own = pools.settings_of(project, profile.name)
    env = {**process.agent_env(project.environ, [*profile.env.passed, *own.pass_env]), **own.env}
    with tempfile.TemporaryDirectory(prefix="smithers-ask-") as folder:
        try:
            done = process.capture([program, *words], cwd=Path(folder), env=env, timeout=_QUICK)
        except SmithersError as error:  # it hangs, or is no program at all: that is the answer
            return -1, error.message
    return done.code, (done.stdout + done.stderr).decode("utf-8", "replace")


def installed_agents(project: Project) -> tuple[list[str], dict[str, str], dict[str, SmithersError]]:
    """Agents by name: installed; not installed, with how to get them; and those with a broken profile, with why."""
    there: list[str] = []
    missing: dict[str, str] = {}
    broken: dict[str, SmithersError] = {}
    for name in content.list_agents(project.worktree):
        try:
            profile = pools.profile(project, name)
        except SmithersError as error:
            broken[name] = error
            continue
        if pools.program(project, profile) is None:
            missing[name] = profile.install
        else:
            there.append(name)
    return there, missing, broken


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that was tried."""

    name: str
    ok: bool
    text: str
    hint: str = ""


@dataclass(slots=True)
class Trial:
    """How a test of an agent went."""

    agent: str
    steps: list[Step] = field(default_factory=list)
    seconds: float = 0.0
    tokens: int = 0
    cost: float = 0.0

    @property
    def ok(self) -> bool:
        return all(step.ok for step in self.steps)


def prove(project: Project, name: str, cancel: threading.Event, told: Callable[[Step], None], limit: float) -> Trial:
    """Give the agent one tiny task in an empty repository of its own, and look at what it did.

    Args:
        project: the repository whose configuration counts; nothing in it is touched.
        name: of the agent.
        cancel: setting it ends the agent.
        told: is told of each step as it is known.
        limit: seconds that the agent may take.
    """
    trial = Trial(name)

    def step(name: str, ok: bool, text: str, hint: str = "") -> bool:
        trial.steps.append(Step(name, ok, text, hint))
        told(trial.steps[-1])
        return ok

    known = survey(project, name)
    if not step("profile", not known.trouble, known.trouble or known.origin):
        return trial
    missing = f"not installed: {' or '.join(pools.profile(project, name).program)}"
    if not step("found", known.program is not None, known.program or missing, known.install):
        return trial
    step("version", True, known.note or known.version or "it has none")
    if known.logged_in is not None and not step("logged in", known.logged_in, "yes" if known.logged_in else "no"):
        return trial
    folder = Path(tempfile.mkdtemp(prefix="smithers-agent-test-"))
    try:
        result = _try(project, name, folder, cancel, limit)
        trial.seconds, trial.cost = result.seconds, result.cost or 0.0
        trial.tokens = result.usage.input + result.usage.output if result.usage else 0
        answered = result.kind in (None, "invalid")
        if step("answered", answered, f"in {result.seconds:.1f} s" if answered else f"{result.kind}: {result.message}"):
            right = isinstance(result.value, dict) and result.value.get("word") == WORD
            said = f"{result.value}" if result.kind is None else result.message
            step("structured output", right, said)
            file = folder / "work" / FILE
            written = file.read_text("utf-8", "replace").strip() if file.is_file() else None
            step("edited a file", written == WORD, FILE if written == WORD else f"{FILE} holds {written!r}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return trial


def _try(project: Project, name: str, folder: Path, cancel: threading.Event, limit: float) -> Result:
    """The attempt, as the engine would make it, in `folder`/work."""
    from smithers_git.edge.git.command import git

    work = folder / "work"
    work.mkdir()
    git(work, "init", "--quiet")
    environ = dict(project.environ)
    if name == "script":  # the embedded agent plays a script and not a prompt
        script = folder / "script.toml"
        script.write_text(_SCRIPT, "utf-8")
        environ["SMITHERS_SCRIPT"] = str(script)
    here = replace(project, environ=environ)
    here.state_dir = folder / "state"  # what an attempt leaves beside the runs goes with the folder
    task = Task(_NODE, agent=name, prompt=_PROMPT, output=Proof, timeout=limit)
    job = Job(_NODE, TaskKey(_NODE), 1, task, None, prompt=_PROMPT, agent=name)
    result = Result(job, agent=name)
    live = Live(folder / "live", job, lambda _kind, _text: None)
    began = project.clock.monotonic()
    converse(here, job, result, work, Watch(cancel, live))
    live.close()
    result.seconds = project.clock.monotonic() - began
    return result
