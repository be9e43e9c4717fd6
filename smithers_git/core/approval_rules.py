"""What an approval may ask for, and who may decide it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, get_args

from smithers_git.core.nodes import Approval, NeedsApproval, OnDeny, OnExpiry, Task, seconds

_LEAST: Final = {"approve": 0, "select": 1, "rank": 2}
"""How many options there are at least."""


def fault(node: Task | Approval) -> tuple[str, str] | None:
    """What is wrong with what `node` asks a person, and what to write instead; None when it is fine."""
    asks = node.needs_approval
    if isinstance(asks, bool | str):
        return None
    if isinstance(node, Approval):
        found = _options(node)
        if found is not None:
            return found
    if not isinstance(asks, NeedsApproval):
        return f"needs_approval={asks!r}", "use True, a question, or NeedsApproval(…)"
    return _terms(node, asks)


def _options(node: Approval) -> tuple[str, str] | None:
    least = _LEAST.get(node.mode)
    if least is None:
        return f"mode={node.mode!r}", "use 'approve', 'select' or 'rank'"
    texts = all(isinstance(option, str) and option.strip() and option.isprintable() for option in node.options)
    if not texts or len(set(node.options)) < len(node.options):
        return f"options={node.options!r}", "use texts of one line, each of them once"
    if node.mode == "approve" and node.options:
        return "options=, which mode='approve' does not use", "use mode='select' or mode='rank', or drop them"
    if any("," in option or option != option.strip() for option in node.options):
        return f"options={node.options!r}", "write them without commas: smithers approve --rank A,B takes them apart"
    if len(node.options) < least:
        return f"mode={node.mode!r} and {len(node.options)} options", f"give options=, at least {least}"
    return None


def _terms(node: Task | Approval, asks: NeedsApproval) -> tuple[str, str] | None:
    mode = node.mode if isinstance(node, Approval) else "approve"
    if asks.on_deny not in get_args(OnDeny):
        return f"on_deny={asks.on_deny!r}", "use 'fail', 'continue' or 'skip'"
    if isinstance(node, Task) and asks.on_deny == "continue":
        return "on_deny='continue', yet a task either starts or not", "use 'fail' or 'skip'"
    if asks.on_expiry not in get_args(OnExpiry):
        return f"on_expiry={asks.on_expiry!r}", "use 'deny', 'fail' or 'approve'"
    if not all(isinstance(person, str) and person.strip() for person in asks.allowed):
        return f"allowed={asks.allowed!r}", "use names or mail addresses, as git has them"
    if asks.expires is not None and (seconds(asks.expires) or 0) <= 0:
        return f"expires={asks.expires!r}", "use a number of seconds above 0"
    if mode != "approve" and (asks.on_expiry == "approve" or asks.auto_after is not None):
        said = "on_expiry='approve'" if asks.on_expiry == "approve" else "auto_after="
        return f"{said} with mode={mode!r}, which only a person can answer", "drop it"
    if asks.auto_after is not None and asks.auto_after < 1:
        return f"auto_after={asks.auto_after!r}", "use 1 or more"
    return None


def may_decide(allowed: Sequence[str], who: str) -> bool:
    """Whether `who` (`Name <mail>`, a name or a mail address) is among the people `allowed`; everybody when empty.

    What looks like a mail address is only compared with the mail address: anybody can call themselves like one.
    """
    if not allowed:
        return True
    name, bracket, rest = who.rpartition("<")
    mail = rest.rstrip("> ") if bracket else (who if "@" in who else "")
    name = name.strip() if bracket else ("" if "@" in who else who)
    for person in allowed:
        if "<" in person:
            same = person.strip().casefold() == who.strip().casefold()
        elif "@" in person:
            same = person.strip().casefold() == mail.strip().casefold()
        else:
            same = person.strip().casefold() == name.strip().casefold()
        if same:
            return True
    return False
