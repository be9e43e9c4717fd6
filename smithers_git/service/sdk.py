"""Agents that are a model behind an API: their profile, their settings, and which of them can be used here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final

from smithers_git.core import sdk_agent
from smithers_git.core.profile import Env, Login, Profile, load_profile
from smithers_git.core.sdk_agent import PREFIX, SdkAgent
from smithers_git.core.settings import Settings
from smithers_git.edge import sdk
from smithers_git.service.project import Project

MOST_REQUESTS: Final = 200
"""Requests that one turn may make of its model, where the configuration names no number."""


@cache
def profile(name: str) -> Profile:
    """The profile of `sdk:PROVIDER/MODEL`; raises AgentError for a name of another form."""
    agent = sdk_agent.parse(name)
    # A server of one's own may want no key; then its address is what there must be.
    ways = (*agent.keys, "OPENAI_BASE_URL") if agent.family == "openai" else agent.keys
    made = load_profile(sdk.PROFILE.read_text("utf-8"), str(sdk.PROFILE))
    return made.model_copy(
        update={"name": name, "env": Env.model_validate({"pass": agent.passed}), "login": Login(env=ways)}
    )


@dataclass(frozen=True, slots=True)
class Offer:
    """Whether the models of one provider can be used."""

    provider: str
    """As it is written: `sdk:anthropic`."""
    trouble: str
    """Why not; empty when they can."""
    how: str = ""
    """What to do about it, or which variable holds the key."""

    @property
    def usable(self) -> bool:
        return not self.trouble


def offers(project: Project) -> list[Offer]:
    """The providers whose libraries come with the extra, and those that the configuration names."""
    named = [name for name in map(sdk_agent.provider_of, _names(project.settings)) if name]
    return [_offer(project, name) for name in dict.fromkeys((*map(PREFIX.__add__, sdk_agent.PROVIDERS), *named))]


def usable(project: Project) -> list[str]:
    """Agents of this kind that the configuration names and that can be used, for those who look for any agent at all.

    None is ever made up: which model, and so what it costs, is for a person to say.
    """
    good = {offer.provider for offer in offers(project) if offer.usable}
    whole = [name for name in _names(project.settings) if "/" in name]
    return [name for name in dict.fromkeys(whole) if sdk_agent.provider_of(name) in good]


def _names(settings: Settings) -> Iterator[str]:
    yield from (name for name in settings.agents if sdk_agent.is_sdk(name))
    yield from (name for chain in settings.pools.values() for name in chain if sdk_agent.is_sdk(name))


def _offer(project: Project, name: str) -> Offer:
    agent = SdkAgent(name.removeprefix(PREFIX), "")
    if sdk.installed() is None or not sdk.has_client(agent.family):
        return Offer(name, "pydantic-ai is not installed", sdk.INSTALL)
    own = project.settings.agents.get(name)
    given: Mapping[str, object] = own.env if own else {}
    ways = (*agent.keys, "OPENAI_BASE_URL") if agent.family == "openai" else agent.keys
    key = next((key for key in ways if given.get(key) or project.environ.get(key)), None)
    if key is None:
        return Offer(name, "there is no key", f"set {' or '.join(agent.keys)}")
    return Offer(name, "", f"{key} is set")
