"""What kind of failure an agent's error is: by the rules of its profile, else by what the protocol and vendors say."""

from __future__ import annotations

import re
from typing import Any, Final

from smithers_git.core.acp.read import error_text
from smithers_git.core.acp.rpc import table
from smithers_git.core.events import FailureKind
from smithers_git.core.profile import Profile
from smithers_git.core.reply import Failure
from smithers_git.core.verdict import Facts, by_rules

_MESSAGE: Final = 2000
AUTH_REQUIRED: Final = -32000
"""The protocol's own error code: log in first."""

_WORDS: Final[tuple[tuple[FailureKind, str], ...]] = (
    ("limit", r"\b429\b|rate.?limit|too many requests|quota|usage limit|resource.?exhausted"),
    (
        "auth",
        r"\b40[13]\b|unauthori[sz]ed|authenticat|(api|invalid).?key|permission.?denied|log(ged)? ?in",
    ),
    ("auth", r"\b402\b|billing|payment|credit balance|insufficient.{0,10}(balance|credit)"),
    ("overload", r"\b(50[0234]|529)\b|overloaded|internal server error|bad gateway|service unavailable"),
    ("overload", r"connection (error|refused|reset|closed)|ECONNRE|fetch failed|socket hang up|timed? ?out"),
    ("bad_request", r"\b(400|404|413|422)\b|invalid.?request|too (long|large)|context.{0,12}(length|window)"),
    ("bad_request", r"(unknown|no such|not found).{0,20}model|model.{0,40}(not found|does not exist|not exist)"),
    ("empty", r"empty (response|answer|message)"),
    ("refusal", r"content.?(filter|policy)|refus(al|ed to)|safety"),
)
_STATUS: Final[dict[int, FailureKind]] = {400: "bad_request", 401: "auth", 402: "auth", 403: "auth", 429: "limit"}
"""Some agents (gemini) put the HTTP status of their model into the code."""

_STOPS: Final[dict[str, tuple[FailureKind, str]]] = {
    "max_tokens": ("crash", "stopped half-way: its model's answer was cut off at the token limit"),
    "max_turn_requests": ("crash", "stopped half-way: it made as many requests as it may in one turn"),
    "refusal": ("refusal", "refused"),
    "cancelled": ("cancelled", "was cancelled"),
}


def of_error(profile: Profile, error: Any, stderr: str) -> Failure:
    """Why a request failed. `stderr` is the end of what the agent said beside the protocol."""
    document = {"error": error}
    text = f"{profile.name}: {error_text(error)}"
    facts = Facts(
        answer="",
        error=text,
        closed=False,
        exit_code=None,
        ended="exited",
        message=text,
        noise="",
        stderr=stderr,
        met=frozenset(n for n, rule in enumerate(profile.failure) if rule.where and rule.where(document)),
        dropped=0,
        wait=None,
    )
    found = by_rules(profile, facts, text[:_MESSAGE])
    return found or Failure(_kind(table(error).get("code"), text), text[:_MESSAGE])


def _kind(code: Any, text: str) -> FailureKind:
    if code == AUTH_REQUIRED:
        return "auth"
    if isinstance(code, int) and 400 <= code < 600:
        return _STATUS.get(code, "overload" if code >= 500 else "bad_request")
    return next((kind for kind, words in _WORDS if re.search(words, text, re.IGNORECASE)), "crash")


def of_stop(profile: Profile, reason: str) -> Failure:
    """Why a turn that ended with any other reason than `end_turn` failed."""
    kind, what = _STOPS.get(
        reason, ("crash", f"stopped for the reason {reason[:100]!r}" if reason else "gave no reason")
    )
    return Failure(kind, f"{profile.name} {what}")
