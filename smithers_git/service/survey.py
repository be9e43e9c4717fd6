"""Which agents there are, and whether each can be used here. Costs no token: the CLIs are only asked who they are."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Final

from smithers_git.clock import local
from smithers_git.core.command_line import version_note
from smithers_git.core.profile import Login
from smithers_git.core.sdk_agent import is_sdk
from smithers_git.edge import content
from smithers_git.errors import SmithersError
from smithers_git.service import isolation, logins, pools
from smithers_git.service.project import Project

_AT_ONCE: Final = 8


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
    login: str = ""
    """What to type to log in."""
    install: str = ""
    proven: str = ""
    unproven: str = ""
    isolated: bool = False
    """Whether its attempts are isolated here."""
    isolation: str = ""
    """Why they are, or why not."""
    refused: bool = False
    """Whether it may make no attempt here, for the same reason."""
    limited: str = ""
    """Until when its account is at a limit, on the clock of this place, and what its service said."""


def agents(project: Project) -> list[Agent]:
    """Every profile, the repository's own and the built-in ones."""
    # Sixteen CLIs of about a second each, twice: one after the other nobody would wait for them.
    with ThreadPoolExecutor(_AT_ONCE) as workers:
        return list(workers.map(lambda name: survey(project, name), content.list_agents(project.worktree)))


def survey(project: Project, name: str) -> Agent:
    """One agent: whether its program is there, which version, whether it is logged in. Raises AgentError: no such."""
    path = pools.profile_file(project, name)
    known = Agent(name, str(path), builtin=is_sdk(name) or path.is_relative_to(content.builtin_root() / "agents"))
    try:
        profile = pools.profile(project, name)
    except SmithersError as error:
        return replace(known, trouble=f"{error.message}; {error.hint}")
    program = pools.program(project, profile)
    known = replace(
        known,
        program=program,
        login=_way_in(profile.login),
        install=profile.install,
        proven=profile.proven,
        unproven=profile.unproven,
    )
    if program is None:
        return known
    own = pools.settings_of(project, name)
    env = logins.environ(project, profile, own)
    printed = logins.ask(program, profile.version.argv, env)[1] if profile.version else ""
    match = profile.version.regex.search(printed) if profile.version else None
    standing = isolation.standing(project, profile, own)
    return replace(
        known,
        isolated=standing.isolated,
        isolation=f"{standing.refused}; {standing.hint}" if standing.refused else standing.why,
        refused=bool(standing.refused),
        version=match[1] if match else "",
        note=version_note(profile, printed),
        logged_in=logins.logged_in(project, profile, own, program),
        limited=_limited(project, name),
    )


def _limited(project: Project, name: str) -> str:
    limit, now = pools.account(project, name).limit(), project.clock.now()
    if limit is None or limit.until <= now:
        return ""
    return f"until {local(limit.until, now)[:-3]}: {limit.message.partition(chr(10))[0][:200]}"


def _way_in(login: Login | None) -> str:
    if login is None:
        return ""
    return login.how or (f"set {' or '.join(login.env)}" if login.env else "")


def reason(agent: Agent) -> tuple[bool, str]:
    """Whether the agent can be used here, as far as can be known without asking its model, and in words why (not)."""
    if agent.trouble:
        return False, agent.trouble
    if agent.program is None:
        return False, "not installed" + (f": {agent.install}" if agent.install else ", its program is not on PATH")
    if agent.logged_in is False:
        words = ["not logged in" + (f": {agent.login}" if agent.login else ""), agent.note]
        return False, "; ".join(filter(None, words))
    if agent.limited:
        return False, f"at the limit of its account {agent.limited}"
    if agent.refused:
        return False, agent.isolation
    words = ["installed and logged in" if agent.logged_in else "installed"]
    words += [agent.note] if agent.note else []
    words += [f"{'isolated' if agent.isolated else 'not isolated'}: {agent.isolation}"] if agent.isolation else []
    words += [f"unproven: {agent.unproven}"] if agent.unproven else []
    words += [] if agent.builtin else [f"profile {agent.origin}"]
    return True, "; ".join(words)


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
