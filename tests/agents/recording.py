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

from smithers_git.core.reply import Reply
from smithers_git.core.stream import Reader

RECORDED = Path(__file__).parent / "recorded"
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
    error = reply.error
    usage = reply.usage
    document = {
        **ending,
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
