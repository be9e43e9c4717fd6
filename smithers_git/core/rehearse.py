"""Would a profile know a limit when its CLI meets one? Pure.

The vendors' words are put where the profile says that errors stand. A real limit cannot be had on demand, and one that
is taken for a crash costs retries instead of a wait.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from smithers_git.core.profile import Profile
from smithers_git.core.profile_rules import FailureRule, Rule
from smithers_git.core.stream import Reader

LIMITS: Final[Mapping[str, str]] = {
    "Anthropic": "429 rate_limit_error: This request would exceed your organization's rate limit of 50,000 tokens.",
    "Claude plans": "You've hit your usage limit. Your limit resets 3pm (Europe/Berlin).",
    "OpenAI": "429 Too Many Requests: Rate limit reached for gpt-5 on tokens per min (TPM). Please try again in 20s.",
    "ChatGPT plans": "You've hit your usage limit. Try again in 3 days 4 hours 5 minutes.",
    "Google": "429 RESOURCE_EXHAUSTED: Resource has been exhausted (e.g. check quota). Please retry in 34s.",
    "Azure": "429: Requests to this deployment have exceeded the token rate limit. Please retry after 26 seconds.",
    "Bedrock": "ThrottlingException: Too many requests, please wait before trying again.",
    "OpenRouter": "429: Rate limit exceeded: free-models-per-day.",
    "Kimi Code": "error: failed to run prompt: provider.rate_limit: 429 Rate limit reached: too many requests.",
    "LiteLLM": "litellm.RateLimitError: RateLimitError: OpenAIException - Rate limit reached for requests.",
    "Mistral": "429: Requests rate limit exceeded.",
    "Moonshot": "429 rate_limit_reached_error: max organization concurrency reached, please try again after 1 seconds.",
}  # fmt: skip
"""What services say when there is too much of it, by who says it."""

_TOKEN = re.compile(r"([^.\[\]]+)|\[([^\[\]]+)\]")


@dataclass(slots=True)
class _Output:
    """What a CLI that met a limit might print."""

    stdout: str = ""
    stderr: str = ""
    files: Mapping[str, str] | None = None
    exit: int = 1


def knows(profile: Profile, text: str) -> bool:
    """Whether a turn that failed with the words `text` is classed as a limit, wherever the profile looks for errors."""
    return any(_kind(profile, output) == "limit" for output in _outputs(profile, text))


def _kind(profile: Profile, output: _Output) -> str:
    reader = Reader(profile)
    reader.feed(output.stdout.encode())
    error = reader.finish(output.exit, output.stderr.encode(), output.files).error
    return error.kind if error else ""


def _outputs(profile: Profile, text: str) -> Iterator[_Output]:
    """One for each pair of a rule for limits and a rule for errors."""
    limits: list[FailureRule | None] = [rule for rule in profile.failure if rule.kind == "limit"]
    errors: list[Rule | None] = [rule for rule in profile.output.error if rule.path]
    for limit in limits or [None]:
        code = limit.exit[0] if limit and limit.exit else 1
        where = _wanted(limit)
        for error in errors or [None]:
            if error is None:
                yield _Output(_lines(where), text, exit=code)
                yield _Output(f"{_lines(where)}{text}\n", exit=code)
                continue
            said = [*_wanted(error), (error.path[0].text, text)]
            if error.source != "stdout":
                there = json.dumps(_document(said))
                on_stderr = error.source == "stderr"
                files = None if on_stderr else {error.source: there}
                yield _Output(_lines(where), there if on_stderr else "", files, code)
                continue
            # One line that meets both rules, or a line for each.
            yield _Output(_lines([*said, *where]), exit=code)
            yield _Output(_lines(where) + _lines(said), exit=code)


def _wanted(rule: Rule | FailureRule | None) -> list[tuple[str, Any]]:
    return [(path.text, values[0]) for path, values in rule.where.tests] if rule else []


def _lines(pairs: Iterable[tuple[str, Any]]) -> str:
    document = _document(pairs)
    return "" if document is None else json.dumps(document) + "\n"


def _document(pairs: Iterable[tuple[str, Any]]) -> Any:
    """A document in which each path has its value; None when there are none."""
    document: Any = None
    for path, value in pairs:
        document = _put(document, _TOKEN.findall(path), value)
    return document


def _put(node: Any, tokens: list[tuple[str, str]], value: Any) -> Any:
    """`node`, made where it is missing, with `value` at the place that `tokens` name."""
    if not tokens:
        return value
    (key, item), rest = tokens[0], tokens[1:]
    if key:
        node = node if isinstance(node, dict) else {}
        node[key] = _put(node.get(key), rest, value)
        return node
    node = node if isinstance(node, list) else []
    name, equals, wanted = item.partition("=")
    fits = [one for one in node if not equals or (isinstance(one, dict) and one.get(name) == wanted)]
    if fits:
        node[node.index(fits[0])] = _put(fits[0], rest, value)
    else:
        node.append(_put({name: wanted} if equals else None, rest, value))
    return node
