"""By which transport an agent is talked with: its program anew for each turn, a protocol, or no program at all."""

from __future__ import annotations

from smithers_git.core.sdk_agent import is_sdk
from smithers_git.errors import AgentError
from smithers_git.service.job import Result
from smithers_git.service.talk.acp import Acp
from smithers_git.service.talk.cli import Cli
from smithers_git.service.talk.sdk import Sdk
from smithers_git.service.talk.seat import Seat
from smithers_git.service.talk.talker import Talker


def talker(seat: Seat, result: Result) -> Talker:
    """The transport that the agent's profile names; raises AgentError when it is told to use one that it has not."""
    profile, own = seat.profile, seat.own
    if is_sdk(profile.name):
        return Sdk(seat, result)
    if (own.transport or profile.transport) == "acp":
        return Acp(seat, result)
    if profile.is_protocol_only:
        raise AgentError(
            f"{profile.name} speaks the Agent Client Protocol and nothing else",
            hint=f'remove `transport = "exec"` from [agents.{profile.name}]',
        )
    return Cli(seat, result)
