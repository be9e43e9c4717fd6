"""What went wrong with a model, in our words: from the library's exceptions to the kinds of core/reply.py."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from pydantic_ai import exceptions as library

_POLICY: Final = re.compile(r"content[_ ]?(policy|filter)|cyber[_ ]policy|safety", re.IGNORECASE)
# An account that has run dry is mended by a person; a window of use that is over comes back by itself.
_DRY: Final = re.compile(r"insufficient_quota|billing|credit|balance|payment", re.IGNORECASE)


TELLING: Final = (library.AgentRunError, library.UserError, ImportError, ExceptionGroup)
"""What a turn can end with that `explain` may know."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a turn ends. `kind` is one of those that profile.toml names."""

    kind: str
    message: str
    retry_after: float | None = None
    """Seconds, when the provider says so."""


def explain(error: Exception) -> Trouble | None:
    """What an exception of a turn means; None for one that is a mistake of ours."""
    if isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        return explain(error.exceptions[0])
    if isinstance(error, library.ModelAPIError):
        return Trouble(_kind(error), _said(error), error.retry_after)
    if isinstance(error, library.ContentFilterError):
        return Trouble("refusal", error.message)
    if isinstance(error, library.UsageLimitExceeded):
        return Trouble("timeout", error.message.partition(". Consider")[0])
    if isinstance(error, library.UnexpectedModelBehavior):
        # The library's way to say that nothing came, again and again.
        return Trouble("empty" if "output retries" in error.message else "crash", error.message)
    if isinstance(error, library.UserError | ImportError):
        return Trouble("bad_request", str(error))
    return None


def is_blip(error: Exception) -> bool:
    """Whether a second try in a second or two may well succeed. Never of a limit: that wait is not ours to hide."""
    if isinstance(error, library.ModelTimeoutError):
        return False
    return isinstance(error, library.ModelUnavailableError | library.ModelServerError | library.ModelConnectionError)


def _kind(error: library.ModelAPIError) -> str:
    told = " ".join(str(part) for part in (error.provider_error_code, error.provider_error_type, error.body))
    match error:
        case library.ModelRateLimitError():
            return "limit"
        case library.ModelQuotaExceededError():
            return "auth" if _DRY.search(told) else "limit"
        case library.ModelAuthenticationError():
            return "auth"
        case library.ModelTimeoutError() | library.ModelRequestTimeout():
            return "timeout"
        case library.ModelUnavailableError() | library.ModelServerError() | library.ModelConnectionError():
            return "overload"
        case library.ModelRequestRejectedError():
            return "refusal" if _POLICY.search(told) else "bad_request"
        case library.ModelHTTPError(status_code=code):
            return {402: "auth", 408: "timeout", 425: "overload", 429: "limit"}.get(
                code, "overload" if code >= 500 else "bad_request"
            )
    return "refusal" if _POLICY.search(told) else "crash"


def _said(error: library.ModelAPIError) -> str:
    """The provider's own sentence where there is one, with the status."""
    status = f"{error.status_code} " if isinstance(error, library.ModelHTTPError) else ""
    return f"{error.model_name}: {status}{_sentence(error.body) or error.message}"


def _sentence(body: object) -> str:
    while isinstance(body, dict):
        inner = body.get("error")
        if isinstance(inner, dict):
            body = inner
        else:
            return str(body.get("message") or "")
    return ""
