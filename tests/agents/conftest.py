"""The real agent CLIs, sealed off: a home of their own, dummy keys, and a scripted model on loopback."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from agents.stub_model import StubModel

# Read while the tests are collected: later the environment is sealed.
CACHE = Path(os.environ.get("SMITHERS_AGENT_CACHE") or Path(__file__).parents[2] / ".cache" / "agents").absolute()


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """As everywhere, but never below /dev/shm: the sandboxes of both CLIs hide it, and with it the working folder."""
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="smithers-") as name:
        yield Path(name)


@pytest.fixture
def stub_model() -> Iterator[StubModel]:
    """A model that plays what the test tells it to."""
    with StubModel() as stub:
        yield stub


@pytest.fixture
def claude_env(stub_model: StubModel, tmp_path: Path) -> dict[str, str]:
    """A machine on which claude is installed and logged in, as environment variables; nothing is inherited."""
    return _machine("claude", tmp_path) | {
        "ANTHROPIC_BASE_URL": stub_model.url,
        "ANTHROPIC_API_KEY": "sk-dummy",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    }


@pytest.fixture
def codex_env(stub_model: StubModel, tmp_path: Path) -> dict[str, str]:
    """A machine on which codex is installed and set up for a provider, as environment variables."""
    machine = _machine("codex", tmp_path)
    config = Path(machine["HOME"], ".codex", "config.toml")
    config.parent.mkdir()
    # The inner retries of a provider of one's own can be turned down, unlike those of the built-in one.
    config.write_text(
        f"""
        model_provider = "stub"
        model = "gpt-5-codex"
        [model_providers.stub]
        name = "stub"
        base_url = "{stub_model.url}/v1"
        env_key = "OPENAI_API_KEY"
        wire_api = "responses"
        request_max_retries = 1
        stream_max_retries = 1
        """
    )
    return machine | {"OPENAI_API_KEY": "sk-dummy"}


def _machine(cli: str, folder: Path) -> dict[str, str]:
    if not (CACHE / "bin" / cli).exists():
        pytest.skip(f"{cli} is not installed in {CACHE}: run `make test-agents`")
    # The home is not below the temporary folder: codex would refuse to build its sandbox.
    for name in ("home", "tmp"):
        (folder / name).mkdir()
    return {
        "PATH": f"{CACHE / 'bin'}:/usr/local/bin:/usr/bin:/bin",
        "HOME": str(folder / "home"),
        "TMPDIR": str(folder / "tmp"),
        "LANG": "C.UTF-8",
        "SMITHERS_TEST_MARK": str(folder),
    }
