"""Makes what the real CLIs say into files, from which the parser tests work where no CLI is installed.

    SMITHERS_TEST_RECORD=1 pytest -m agents tests/agents/test_conformance.py -k NAME

writes `recorded/NAME/TEST.json`: what the CLI printed, how it ended, and what was made of it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from smithers_git.core.fish import documents
from smithers_git.core.profile import Profile, load_profile
from smithers_git.core.reply import Reply
from smithers_git.core.stream import Reader

RECORDED = Path(__file__).parent / "recorded"
PROFILES = Path(__file__).parents[2] / "agents"
WANTED = bool(os.environ.get("SMITHERS_TEST_RECORD"))
_MOST = 40_000
"""Characters: a recording that is longer shows nothing more."""


@contextmanager
def endings() -> Iterator[list[dict[str, Any]]]:
    """How each turn of a `with` block ended: exit code, standard error, result files, reason."""
    kept: list[dict[str, Any]] = []
    finish = Reader.finish

    def spy(
        self: Reader, exit_code: int | None, stderr: bytes = b"", files: Mapping[str, str] | None = None, **how: Any
    ) -> Reply:
        kept.append({"exit": exit_code, "stderr": stderr.decode("utf-8", "replace"), "files": dict(files or {}), **how})
        return finish(self, exit_code, stderr, files, **how)

    with mock.patch.object(Reader, "finish", spy):
        yield kept


def keep(name: str, said: str, ending: Mapping[str, Any], reply: Reply, places: Mapping[str, str]) -> None:
    """Write the recording `name`. `places` are folders of this machine and the names that stand for them."""
    file = PROFILES / f"{name.partition('/')[0]}.toml"
    profile = load_profile(file.read_text("utf-8"), str(file))
    error = reply.error
    usage = reply.total or reply.usage  # who reads it again knows of no turn before
    document = {
        **ending,
        "files": {source: _cut_down(profile, source, text) for source, text in ending["files"].items()},
        "stderr": ending["stderr"][-2000:],
        "said": said.splitlines(),
        "reply": {
            "kind": error.kind if error else "",
            "answer": reply.answer,
            "session": reply.session,
            "usage": [usage.input, usage.output, usage.cached] if usage else None,
            "cost": reply.cost,
        },
    }
    text = json.dumps(document, indent=1, ensure_ascii=False) + "\n"
    for place, word in places.items():
        text = text.replace(place, word)
    if len(text) > _MOST:
        return
    path = RECORDED / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")


def _cut_down(profile: Profile, source: str, text: str) -> str:
    """Of what a CLI keeps for itself, the lines that some rule reads; of a result file, all but the CLI's settings."""
    if not source.startswith("state:"):
        values = documents(text)
        if len(values) == 1 and isinstance(values[0], dict) and values[0].pop("config", None):
            return json.dumps(values[0])
        return text
    tests = [rule.where for rule in profile.output.rules() if rule.source == source and rule.where]
    tests += [profile.success.event] if profile.success.source == source else []
    lines = [
        line for line in text.splitlines() if not tests or any(test(one) for one in documents(line) for test in tests)
    ]
    return "".join(f"{line}\n" for line in lines)
