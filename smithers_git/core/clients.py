"""The coding agents that can drive smithers: how each is found, where its skills live, and how it is told of a server.

Places are as of November 2026, from each agent's own documentation. `~` is the home folder; `$NAME|FOLDER|REST` is
a path below a folder that a variable moves. Paths of a project begin in its top folder.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

Format = Literal["json", "toml", "yaml", "file"]
SERVER: Final = "smithers"
"""The name of our server in every configuration."""


@dataclass(frozen=True, slots=True)
class ServerFile:
    """A file in which an agent looks for servers of the Model Context Protocol."""

    path: str
    format: Format = "json"
    """`file`: a file of our own in a folder where each server has one."""
    keys: tuple[str, ...] = ("mcpServers",)
    """Where in it the servers stand, by name."""
    shape: str = "plain"
    """How an entry is written, see `entry`."""
    others: tuple[str, ...] = ()
    """Further names of the same file: one of them that exists is taken."""


@dataclass(frozen=True, slots=True)
class Client:
    """One coding agent. It is there when one of its programs is on PATH or one of its folders exists."""

    name: str
    title: str
    programs: tuple[str, ...]
    folders: tuple[str, ...]
    skills: str
    """Folder of the user's skills, one folder a skill."""
    project_skills: str
    servers: ServerFile | None = None
    """The user's; None when the agent has no such file."""
    project_servers: ServerFile | None = None


_SHARED: Final = ".agents/skills"

CLIENTS: Final[tuple[Client, ...]] = (
    Client(
        "claude", "Claude Code", ("claude",), ("$CLAUDE_CONFIG_DIR|~/.claude|",),
        "$CLAUDE_CONFIG_DIR|~/.claude|/skills", ".claude/skills",
        ServerFile("$CLAUDE_CONFIG_DIR|~|/.claude.json", shape="typed"), ServerFile(".mcp.json", shape="typed"),
    ),
    Client(
        "codex", "Codex", ("codex",), ("$CODEX_HOME|~/.codex|",), "$CODEX_HOME|~/.codex|/skills", _SHARED,
        ServerFile("$CODEX_HOME|~/.codex|/config.toml", "toml", ("mcp_servers",)),
        ServerFile(".codex/config.toml", "toml", ("mcp_servers",)),
    ),
    Client(
        "cursor", "Cursor", ("cursor-agent", "cursor"), ("~/.cursor",), "~/.cursor/skills", _SHARED,
        ServerFile("~/.cursor/mcp.json"), ServerFile(".cursor/mcp.json"),
    ),
    Client(
        "copilot", "GitHub Copilot", ("copilot",), ("$COPILOT_HOME|~/.copilot|",), "$COPILOT_HOME|~/.copilot|/skills",
        _SHARED, ServerFile("$COPILOT_HOME|~/.copilot|/mcp-config.json", shape="copilot"),
    ),
    Client(
        "gemini", "Gemini CLI", ("gemini",), ("~/.gemini/settings.json",), "~/.gemini/skills", _SHARED,
        ServerFile("~/.gemini/settings.json"), ServerFile(".gemini/settings.json"),
    ),
    Client(
        "antigravity", "Antigravity", ("agy",), ("~/.gemini/antigravity",), "~/.gemini/antigravity/skills", _SHARED,
        ServerFile("~/.gemini/antigravity/mcp_config.json"),
    ),
    Client(
        "qwen", "Qwen Code", ("qwen",), ("~/.qwen",), "~/.qwen/skills", ".qwen/skills",
        ServerFile("~/.qwen/settings.json"), ServerFile(".qwen/settings.json"),
    ),
    Client(
        "pi", "Pi", ("pi",), ("$PI_CODING_AGENT_DIR|~/.pi/agent|",), "$PI_CODING_AGENT_DIR|~/.pi/agent|/skills",
        ".pi/skills",
    ),
    Client(
        "opencode", "OpenCode", ("opencode",), ("$XDG_CONFIG_HOME|~/.config|/opencode",),
        "$XDG_CONFIG_HOME|~/.config|/opencode/skills", _SHARED,
        ServerFile(
            "$XDG_CONFIG_HOME|~/.config|/opencode/opencode.json", keys=("mcp",), shape="opencode",
            others=("$XDG_CONFIG_HOME|~/.config|/opencode/opencode.jsonc",),
        ),
        ServerFile("opencode.json", keys=("mcp",), shape="opencode", others=("opencode.jsonc",)),
    ),
    Client(
        "amp", "Amp", ("amp",), ("$XDG_CONFIG_HOME|~/.config|/amp",), "$XDG_CONFIG_HOME|~/.config|/agents/skills",
        _SHARED,
        ServerFile(
            "$XDG_CONFIG_HOME|~/.config|/amp/settings.json", keys=("amp.mcpServers",),
            others=("$XDG_CONFIG_HOME|~/.config|/amp/settings.jsonc",),
        ),
        ServerFile(".amp/settings.json", keys=("amp.mcpServers",), others=(".amp/settings.jsonc",)),
    ),
    Client(
        "kimi", "Kimi CLI", ("kimi-cli",), ("~/.kimi",), "~/.agents/skills", _SHARED, ServerFile("~/.kimi/mcp.json"),
    ),
    Client(
        "kimi-code", "Kimi Code", ("kimi",), ("$KIMI_CODE_HOME|~/.kimi-code|",), "~/.agents/skills", _SHARED,
        ServerFile("$KIMI_CODE_HOME|~/.kimi-code|/mcp.json"), ServerFile(".kimi-code/mcp.json"),
    ),
    Client(
        "cline", "Cline", ("cline",), ("~/.cline",), "~/.agents/skills", _SHARED,
        ServerFile("~/.cline/data/settings/cline_mcp_settings.json"),
    ),
    Client(
        "goose", "Goose", ("goose",), ("$XDG_CONFIG_HOME|~/.config|/goose",),
        "$XDG_CONFIG_HOME|~/.config|/goose/skills", ".goose/skills",
        ServerFile("$XDG_CONFIG_HOME|~/.config|/goose/config.yaml", "yaml", ("extensions",), "goose"),
    ),
    Client(
        "windsurf", "Windsurf", ("windsurf",), ("~/.codeium/windsurf",), "~/.codeium/windsurf/skills",
        ".windsurf/skills", ServerFile("~/.codeium/windsurf/mcp_config.json"),
    ),
    Client(
        "zed", "Zed", ("zed", "zeditor"), ("$XDG_CONFIG_HOME|~/.config|/zed",), "~/.agents/skills", _SHARED,
        ServerFile("$XDG_CONFIG_HOME|~/.config|/zed/settings.json", keys=("context_servers",), shape="zed"),
        ServerFile(".zed/settings.json", keys=("context_servers",), shape="zed"),
    ),
    Client(
        "continue", "Continue", ("cn",), ("~/.continue",), "~/.continue/skills", ".continue/skills",
        ServerFile("~/.continue/mcpServers/smithers.yaml", "file", shape="continue"),
        ServerFile(".continue/mcpServers/smithers.yaml", "file", shape="continue"),
    ),
    Client(
        "hermes", "Hermes", ("hermes",), ("$HERMES_HOME|~/.hermes|",), "$HERMES_HOME|~/.hermes|/skills",
        ".hermes/skills",
        ServerFile("$HERMES_HOME|~/.hermes|/config.yaml", "yaml", ("mcp_servers",)),
    ),
    Client(
        "openclaw", "OpenClaw", ("openclaw",), ("~/.openclaw",), "~/.openclaw/skills", "skills",
        ServerFile("~/.openclaw/openclaw.json", keys=("mcp", "servers")),
    ),
    Client(
        "vibe", "Mistral Vibe", ("vibe",), ("$VIBE_HOME|~/.vibe|",), "$VIBE_HOME|~/.vibe|/skills", ".vibe/skills",
    ),
)  # fmt: skip


def entry(shape: str, command: Sequence[str]) -> dict[str, Any]:
    """What an agent wants to know of a server that `command` starts and that speaks over its standard streams."""
    program, arguments = command[0], list(command[1:])
    plain = {"command": program, "args": arguments}
    shapes: Mapping[str, dict[str, Any]] = {
        "plain": plain,
        "typed": {"type": "stdio", **plain, "env": {}},
        "copilot": {"type": "local", **plain, "tools": ["*"]},
        "opencode": {"type": "local", "command": [program, *arguments], "enabled": True},
        "zed": {"source": "custom", **plain, "env": {}},
        "goose": {
            "name": SERVER, "type": "stdio", "cmd": program, "args": arguments, "enabled": True, "timeout": 300,
        },
        "continue": {"name": SERVER, "type": "stdio", **plain},
    }  # fmt: skip
    return shapes[shape]


def place(path: str, home: str, environ: Mapping[str, str]) -> str:
    """A path of the table as a path of this machine."""
    if path.startswith("$"):
        name, plain, rest = path[1:].split("|")
        path = (environ.get(name) or plain).rstrip("/") + rest
    return home + path[1:] if path.startswith("~") else path
