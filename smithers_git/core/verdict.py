"""Did the turn succeed? Three things at once: a closing event, no error in it, an answer. Exit codes lie."""

from __future__ import annotations

from dataclasses import dataclass

from smithers_git.core.profile import Profile
from smithers_git.core.reply import EndReason, Failure

_MESSAGE = 2000


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a turn once its process is gone."""

    answer: str
    error: str | None
    closed: bool
    exit_code: int | None
    ended: EndReason
    message: str
    noise: str
    """The end of what standard output held besides documents."""
    stderr: str
    """The end of standard error."""
    met: frozenset[int]
    """Positions of the failure rules whose `where` held."""
    dropped: int
    """Lines that were too long to keep."""
    wait: tuple[str, float] | None


def judge(profile: Profile, facts: Facts) -> Failure | None:
    """Why the turn failed, or None when it succeeded.

    A turn that was complete before its process had to be ended counts: some CLIs leave a child that holds the pipe.
    """
    cancelled = facts.ended == "cancelled" and not facts.closed
    if facts.error is not None and not cancelled:
        return _classified(profile, facts, facts.error)
    if not facts.closed:
        return _unfinished(profile, facts)
    allowed = profile.success.exit
    if facts.ended == "exited" and allowed is not None and facts.exit_code not in allowed:
        return _classified(profile, facts, _said(facts, f"{profile.name} ended with {_code(facts)}"))
    if not facts.answer.strip():
        if facts.ended != "exited":  # some close their turn when they are told to stop
            return _unfinished(profile, facts)
        return Failure("empty", _said(facts, f"{profile.name} gave an empty answer"))
    return None


def _unfinished(profile: Profile, facts: Facts) -> Failure:
    if facts.ended != "exited":
        return Failure(facts.ended, facts.message or f"{profile.name} was ended: {facts.ended}")
    what = "did not say that its turn was over"
    if profile.output.mode == "json":
        what = "printed nothing that its profile can read"
    return _classified(profile, facts, _said(facts, f"{profile.name} ended with {_code(facts)} and {what}"))


def by_rules(profile: Profile, facts: Facts, message: str) -> Failure | None:
    """The failure that the first rule of the profile whose conditions hold makes of it; None when there is none."""
    text = f"{facts.error or ''}\n{facts.noise}\n{facts.stderr}"
    for number, rule in enumerate(profile.failure):
        if rule.where and number not in facts.met:
            continue
        if rule.exit is not None and facts.exit_code not in rule.exit:
            continue
        if rule.regex and not rule.regex.search(text):
            continue
        waits = facts.wait if rule.kind in ("limit", "overload") else None
        unit, amount = waits or ("", 0.0)
        return Failure(
            rule.kind,
            message[:_MESSAGE],
            retry_after={"s": amount, "ms": amount / 1000}.get(unit),
            retry_at=amount if unit == "epoch" else None,
            lost_session=rule.lost_session,
        )
    return None


def _classified(profile: Profile, facts: Facts, message: str) -> Failure:
    found = by_rules(profile, facts, message)
    if found is not None:
        return found
    # The stream was no CLI's words but ours to read: a program that exits with 0 and cannot be read does not fit.
    unreadable = not facts.closed and facts.error is None and facts.exit_code == 0
    return Failure("bug" if unreadable and facts.dropped else "crash", message[:_MESSAGE])


def _said(facts: Facts, what: str) -> str:
    """`what`, and the last words of the program as far as it had any."""
    words = " ".join((facts.stderr.strip() or facts.noise.strip())[-1000:].split())
    lost = f" ({facts.dropped} lines were too long to read)" if facts.dropped else ""
    return f"{what}{lost}" + (f": {words}" if words else "")


def _code(facts: Facts) -> str:
    return "a signal" if facts.exit_code is None else f"exit code {facts.exit_code}"
