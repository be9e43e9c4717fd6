"""The shape of `.smithers/config.toml`."""

from __future__ import annotations

import re
import sys
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from smithers_git.core import amounts
from smithers_git.core.liveness import Patience
from smithers_git.core.nodes import Budget
from smithers_git.core.notice import OCCASIONS, Occasion
from smithers_git.core.sdk_agent import McpServer, Tool, is_sdk, parse, provider_of
from smithers_git.core.secret import Secret
from smithers_git.core.trigger import TriggerSettings


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class WorktreeSettings(_Section):
    """How a new worktree is made ready for work."""

    root: str | None = None
    """Folder that holds all worktrees; default: outside the checkout, below $XDG_STATE_HOME/smithers."""
    copy_: list[str] = Field(default=[], alias="copy")
    """Files or globs of the main checkout to copy, say `.env`."""
    symlink: list[str] = []
    """Files or folders of the main checkout to link, say `node_modules`."""
    setup: str | list[str] | None = None
    """Command to run in a new worktree before any task."""
    teardown: str | list[str] | None = None
    """Command to run before a worktree is removed."""


class AgentSettings(_Section):
    """What this repository changes in an agent profile."""

    model: str | None = None
    permission: Literal["read", "edit", "full"] | None = None
    program: str | None = None
    """Path of the CLI, when it is not on PATH under its own name."""
    env: dict[str, Secret] = {}
    """Variables to set for the CLI; a value may also be a reference to a secret."""
    pass_env: list[str] = []
    """Names of further variables to let through to the CLI."""
    args: list[str] = []
    """Further arguments, put after the profile's own."""
    tools: list[Tool] | None = None
    """Of a model without a CLI: which tools it gets; all that its permission allows when it is not given."""
    mcp: list[str] = []
    """Of a model without a CLI: names of `[mcp.NAME]` servers whose tools it gets as well."""
    max_requests: int | None = Field(default=None, ge=1)
    """Of a model without a CLI: requests that one turn may make; 200 when it is not given."""
    transport: Literal["exec", "acp"] | None = None
    """How the CLI is talked with, where its profile knows both ways; None: as the profile says."""
    isolate: Literal["auto", "always", "never"] | None = None
    """Its own `[isolate] mode`."""
    ask: bool = False
    """Whether a person is asked what the permission level does not allow. Only `acp` agents ask."""


class IsolateSettings(_Section):
    """How agents are kept away from everything but their workspace, by bubblewrap."""

    mode: Literal["auto", "always", "never"] = "auto"
    """`auto`: agents that ask nobody (no permission system, or permission `full`), where bubblewrap works."""
    network: Literal["host", "none"] = "host"
    git: Literal["read", "write"] = "read"
    """Whether an isolated agent may write the repository itself: commits are made for it, so it need not."""
    read: list[str] = []
    """Further files and folders that are there although they lie below the home or a temporary folder."""
    write: list[str] = []
    """Those that may be written, too."""
    machine: bool = False
    """This whole machine is a sandbox (a container, CI): permission `full` is allowed without isolation."""


class PortSettings(_Section):
    """Which ports workspaces get: each a block of its own, below those that Linux gives to outgoing connections."""

    first: int = Field(default=20_000, ge=1024, le=65_535)
    block: int = Field(default=10, ge=1, le=1000)
    """Ports of one workspace."""
    count: int = Field(default=1000, ge=1)
    """Blocks: the number of workspaces at once, of all repositories of the user."""

    @model_validator(mode="after")
    def _within_reach(self) -> PortSettings:
        if self.first + self.block * self.count > 65_536:
            raise ValueError(f"{self.count} blocks of {self.block} from {self.first} on go beyond port 65535")
        return self


class DiskSettings(_Section):
    """Room on the disk."""

    floor: str | int = "1 GiB"
    """No work is begun with less free, where the repository or its worktrees lie; 0 for none."""
    max_file: str | int = amounts.FILE
    """No frame takes a larger file that a task wrote; 0 for any size."""

    @field_validator("floor", "max_file")
    @classmethod
    def _is_a_size(cls, value: str | int) -> str | int:
        amounts.size(str(value))
        return value

    @property
    def bytes(self) -> int:
        return amounts.size(str(self.floor))

    @property
    def file_bytes(self) -> int:
        return amounts.size(str(self.max_file)) or sys.maxsize


class RunSettings(_Section):
    max_concurrency: int = Field(default=4, ge=1, le=64)


class BudgetSettings(_Section):
    """What may be spent, in US dollars and tokens, as the agents say."""

    run_usd: float | None = Field(default=None, gt=0)
    """One run, unless `--budget` says otherwise; a workflow can only ask for less."""
    run_tokens: int | None = Field(default=None, gt=0)
    day_usd: float | None = Field(default=None, gt=0)
    """All runs of this repository since midnight."""
    day_tokens: int | None = Field(default=None, gt=0)
    soft: float = Field(default=0.8, gt=0, le=1)
    """The part of a budget from which on nothing new starts. At the whole of it, what runs is ended too."""

    @property
    def run(self) -> Budget:
        return Budget(self.run_usd, self.run_tokens)

    @property
    def day(self) -> Budget:
        return Budget(self.day_usd, self.day_tokens)


class AdmissionSettings(_Section):
    """How many agents this machine carries, over all runs of the user: only in the user's own file."""

    max_agents: int | None = Field(default=None, ge=1)
    """Agents at once; what memory carries, at 1.5 GiB each and at most 16, when it is not given."""
    min_free_memory: str | int = "256 MiB"
    """No agent begins with less; 0 for none."""
    slots: dict[str, Annotated[int, Field(ge=1)]] = {}
    """Agents of one profile at once, say `claude = 3`."""
    gap: float = Field(default=0.1, ge=0, le=60)
    """Seconds between two agents that begin."""

    @field_validator("min_free_memory")
    @classmethod
    def _is_a_size(cls, value: str | int) -> str | int:
        amounts.size(str(value))
        return value

    @property
    def memory(self) -> int:
        return amounts.size(str(self.min_free_memory))


class LivenessSettings(_Section):
    """When an agent that gets nowhere is ended; what a task says itself goes before. Seconds; 0 is never."""

    total: float = Field(default=4 * 3600, ge=0)
    """One attempt."""
    first_output: float | None = Field(default=None, ge=0)
    """Until it says anything at all; what its profile says when it is not given."""
    idle: float | None = Field(default=None, ge=0)
    """Without a word; what its profile says when it is not given, else an hour."""
    repeats: int = Field(default=60, ge=2)
    """Things in a row that it has said or done just before, no file changed, and that for `repeating` seconds."""
    repeating: float = Field(default=120, ge=0)
    nothing_new: float = Field(default=3600, ge=0)
    """It prints, nothing of that is new, and no file changed."""
    retrying: float = Field(default=900, ge=0)
    """It only tells that it tries to reach its service again."""

    @property
    def patience(self) -> Patience:
        return Patience(self.repeats, self.repeating or None, self.nothing_new or None, self.retrying or None)


class LandingSettings(_Section):
    """How results come home: the merge queue, `smithers land`."""

    style: Literal["merge", "rebase", "squash"] = "merge"
    branch: str = "smithers/integration"
    """The branch that queues inside workflows land on; made at the run's base when it is missing."""
    gates: list[str | list[str]] = []
    """Commands that must be green on the exact tree that lands; the project's check when none is given."""
    gate_minutes: float = Field(default=60.0, gt=0)
    """A gate that takes longer is red."""
    lanes: int | None = Field(default=None, ge=1, le=64)
    """Gates at once, at most; what the machine's cores and memory carry when it is not given."""
    message: str = "{{ title }}{% if body %}\n\n{{ body }}{% endif %}"
    """Template of the commit message: title, body, ticket, run, branch, style. Trailers are added."""
    hooks: bool = True
    """Run the user's pre-commit and commit-msg hooks once, on the commit that lands."""
    clean: Literal["untracked", "all"] = "untracked"
    """What is removed from a reused worktree before the next gate; "all" takes ignored files (build caches) too."""


class NotifySettings(_Section):
    """Who is told of what happens, and how. Each way may have occasions of its own."""

    events: list[Occasion] = list(OCCASIONS)
    """The occasions of each way that has none of its own."""
    command: str | list[str] | None = None
    """Run with the notification as JSON on its input, and in variables SMITHERS_EVENT, SMITHERS_TEXT and so on."""
    command_events: list[Occasion] | None = None
    desktop: bool = False
    """Show it on the desktop, by notify-send or osascript."""
    desktop_events: list[Occasion] | None = None
    webhook: Secret | None = None
    """Address that the JSON is posted to; `$NAME` takes it from that variable, and it may be a reference."""
    webhook_events: list[Occasion] | None = None

    @field_validator("webhook")
    @classmethod
    def _is_an_address(cls, value: Secret | None) -> Secret | None:
        if isinstance(value, str) and not re.match(r"https?://[^/]|\$\{?\w+\}?$", value):
            raise ValueError("it is neither an http(s) address nor the $NAME of a variable")
        return value


_OF_A_CLI: Final = {"model", "program", "args", "transport"}
_OF_A_MODEL: Final = {"tools", "mcp", "max_requests"}


class Settings(_Section):
    """The whole file; every key has a default."""

    check: str | list[str] | None = None
    """The project's own check command; detected when it is not given."""
    run: RunSettings = RunSettings()
    pools: dict[str, list[str]] = {}
    """Named fallback chains of agents: smart, fast, implement, review, plan, research, or names of your own."""
    agents: dict[str, AgentSettings] = {}
    mcp: dict[str, McpServer] = {}
    """Servers of tools for models without a CLI; a CLI has its own list of them."""
    worktree: WorktreeSettings = WorktreeSettings()
    isolate: IsolateSettings = IsolateSettings()
    ports: PortSettings = PortSettings()
    disk: DiskSettings = DiskSettings()
    budget: BudgetSettings = BudgetSettings()
    admission: AdmissionSettings = AdmissionSettings()
    liveness: LivenessSettings = LivenessSettings()
    landing: LandingSettings = LandingSettings()
    notify: NotifySettings = NotifySettings()
    trigger: list[TriggerSettings] = []
    """What starts runs by itself: hooks of git, and schedules."""

    def agent(self, name: str) -> AgentSettings:
        """What is changed for one agent; for a model without a CLI also by the table of its provider."""
        if not is_sdk(name):
            return self.agents.get(name) or AgentSettings()
        merged: dict[str, Any] = {}
        for own in filter(None, (self.agents.get(provider_of(name) or ""), self.agents.get(name))):
            for key in own.model_fields_set:
                value = getattr(own, key)
                merged[key] = {**merged.get(key, {}), **value} if isinstance(value, dict) else value
        return AgentSettings().model_copy(update={**merged, "model": parse(name).id})

    @field_validator("agents")
    @classmethod
    def _means_something(cls, value: dict[str, AgentSettings]) -> dict[str, AgentSettings]:
        for name, own in value.items():
            sdk = is_sdk(name)
            if sdk and provider_of(name) is None:
                raise ValueError(f'{name!r} is neither "sdk:PROVIDER/MODEL" nor "sdk:PROVIDER"')
            vain = sorted(own.model_fields_set & (_OF_A_CLI if sdk else _OF_A_MODEL))
            if vain:
                raise ValueError(
                    f"{name}: {', '.join(vain)} mean nothing to {'a model without a CLI' if sdk else 'a CLI'}"
                )
        return value

    @field_validator("trigger")
    @classmethod
    def _names_differ(cls, value: list[TriggerSettings]) -> list[TriggerSettings]:
        names = [trigger.name for trigger in value]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"there are two triggers called {twice[0]!r}")
        return value
