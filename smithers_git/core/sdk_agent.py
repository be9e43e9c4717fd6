"""Agents that are a model behind an API: their names, what of the environment they get, and the job of one turn. Pure.

`sdk:PROVIDER/MODEL`, say `sdk:anthropic/claude-sonnet-4-5`. The provider is one of pydantic-ai's, the model is what the
provider calls it and may hold further slashes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from smithers_git.core.secret import Secret
from smithers_git.errors import AgentError

PREFIX: Final = "sdk:"
TOOLS: Final = ("read", "grep", "write", "edit", "bash")
Tool = Literal["read", "grep", "write", "edit", "bash"]

# A name becomes a path in the frame and a word of a command line.
_NAME: Final = re.compile(r"sdk:([a-z][a-z0-9-]*)(?:/([A-Za-z0-9@][\w.:@+-]*(?:/[\w@][\w.:@+-]*)*))?")
_HINT: Final = 'write "sdk:PROVIDER/MODEL", say "sdk:anthropic/claude-sonnet-4-5" or "sdk:openai/gpt-5"'

_KEYS: Final = {
    "anthropic": ("ANTHROPIC_API_KEY",),
    "openai": ("OPENAI_API_KEY",),
    "google": ("GOOGLE_API_KEY", "GEMINI_API_KEY"),
}
_FURTHER: Final = {
    "anthropic": ("ANTHROPIC_*",),
    "openai": ("OPENAI_*",),
    "google": ("GOOGLE_*", "GEMINI_*"),
    "google-cloud": ("GOOGLE_*",),
    "bedrock": ("AWS_*",),
    "azure": ("AZURE_*", "OPENAI_API_VERSION"),
}
PROVIDERS: Final = tuple(_KEYS)
"""Those whose libraries come with the extra, and that `smithers agents` tells of."""


@dataclass(frozen=True, slots=True)
class SdkAgent:
    """A name of this kind, taken apart."""

    provider: str
    model: str
    """Empty where all models of a provider are meant, as in a table of settings."""

    @property
    def id(self) -> str:
        """`PROVIDER/MODEL`, as the program takes it."""
        return f"{self.provider}/{self.model}"

    @property
    def family(self) -> str:
        """`openai-chat` and `openai-responses` are two ways to talk with `openai`."""
        return "openai" if self.provider in ("openai-chat", "openai-responses") else self.provider

    @property
    def keys(self) -> tuple[str, ...]:
        """Variables of which one holds the key."""
        return _KEYS.get(self.family) or (f"{_upper(self.provider)}_API_KEY",)

    @property
    def passed(self) -> tuple[str, ...]:
        """Names and patterns of the variables that the model's client may see; its tools never do."""
        own = _FURTHER.get(self.family, ())
        return tuple(dict.fromkeys((*own, *self.keys, f"{_upper(self.provider)}_BASE_URL")))


def _upper(provider: str) -> str:
    return provider.upper().replace("-", "_")


def is_sdk(name: str) -> bool:
    """Whether `name` means a model behind an API."""
    return name.startswith(PREFIX)


def parse(name: str) -> SdkAgent:
    """`sdk:PROVIDER/MODEL` taken apart; raises AgentError that shows the right form."""
    match = _NAME.fullmatch(name)
    if match is None or match[2] is None:
        raise AgentError(f"{name!r} does not name a provider and a model", hint=_HINT)
    return SdkAgent(match[1], match[2])


def provider_of(name: str) -> str | None:
    """`sdk:PROVIDER` of a name, whose settings hold for all models of the provider; None when it is malformed."""
    match = _NAME.fullmatch(name)
    return None if match is None else f"{PREFIX}{match[1]}"


class McpServer(BaseModel):
    """A server of tools, as `[mcp.NAME]` describes it: a program that speaks MCP on its pipes, or an address."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    command: str | None = None
    args: list[str] = []
    env: dict[str, Secret] = {}
    """Variables of the program, on top of a short list of harmless ones; a value may be a reference to a secret."""
    url: str | None = Field(default=None, pattern=r"^https?://[^/]")
    headers: dict[str, Secret] = {}
    """Sent with each request to the address; a value may be a reference to a secret."""

    @model_validator(mode="after")
    def _is_one_of_two(self) -> McpServer:
        if (self.command is None) == (self.url is None):
            raise ValueError("give either command or url")
        if self.url is not None and (self.args or self.env):
            raise ValueError("args and env belong to a command, not to a url")
        if self.command is not None and self.headers:
            raise ValueError("headers belong to a url, not to a command")
        return self


class SdkJob(BaseModel):
    """One turn, as the program gets it on standard input."""

    model_config = ConfigDict(extra="forbid")

    prompt: str
    session: str
    """Id of the conversation."""
    history: list[dict[str, Any]] = []
    """Its messages so far, in the library's own form."""
    output: dict[str, Any] | None = None
    """JSON schema of the answer; None for plain text."""
    tools: list[Tool] | None = None
    """Those of its permission level that it gets; None for all."""
    shell: list[str] | None = None
    """What commands are run through, say a sandbox; None where they may not be run."""
    hidden: list[str] = []
    """Names and patterns of variables that commands must not see."""
    servers: dict[str, McpServer] = {}
    max_requests: int | None = None
