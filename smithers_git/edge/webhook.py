"""The sole home of web requests: one POST, with a time limit, and no redirect is followed."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from typing import Any, Final
from urllib.parse import urlsplit

from smithers_git.errors import SmithersError

_MOST: Final = 1 << 16
"""Bytes of an answer that are read: some servers take a closed connection for a failed request."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirected POST would arrive somewhere else as a GET without its body."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def post(url: str, body: bytes, timeout: float) -> None:
    """Send JSON to `url`.

    Args:
        url: http or https. It may hold a secret, so no message here has more of it than its host.
        body: the JSON document.
        timeout: seconds that the server may be silent.

    Raises:
        SmithersError: it cannot be reached, is silent, or its answer is no success.
    """
    try:
        host = urlsplit(url).hostname or "nowhere"
        headers = {"Content-Type": "application/json", "User-Agent": "smithers-git"}
        request = urllib.request.Request(url, data=body, headers=headers, method="POST")
        with urllib.request.build_opener(_NoRedirect).open(request, timeout=timeout) as answer:
            answer.read(_MOST)
    except urllib.error.HTTPError as error:
        error.close()
        raise SmithersError(
            f"{host} answered {error.code} to the notification", hint="check webhook in [notify]"
        ) from error
    except urllib.error.URLError as error:
        raise _unreachable(host, str(error.reason)) from error
    except (OSError, http.client.HTTPException) as error:
        raise _unreachable(host, str(error) or type(error).__name__) from error
    except ValueError as error:
        raise SmithersError("the webhook's URL cannot be used", hint="check webhook in [notify]") from error


def _unreachable(host: str, why: str) -> SmithersError:
    return SmithersError(f"the notification could not be sent to {host}: {why}", hint="check webhook in [notify]")
