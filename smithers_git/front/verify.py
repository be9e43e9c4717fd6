"""`smithers verify`: what was tested of each landed commit, or what is wrong with it."""

from __future__ import annotations

import shlex
from typing import Any

from smithers_git.clock import iso, local
from smithers_git.edge import output
from smithers_git.errors import ExitCode
from smithers_git.front.words import plural
from smithers_git.service.landing import verify as service
from smithers_git.service.landing.verify import Found
from smithers_git.service.project import Project


def verify(project: Project, revision: str, *, strict: bool, as_json: bool) -> int:
    """Check `revision` and say what holds; the exit code is 1 when something does not."""
    found = service.verify(project, revision)
    single = ".." not in revision
    bad = [one for one in found if one.verdict == "wrong" or (one.verdict == "foreign" and (strict or single))]
    if as_json:
        output.document({"ok": not bad, "commits": [_document(one) for one in found]})
    else:
        for one in found:
            _show(project, one, bad=one in bad)
        verified = sum(one.verdict == "verified" for one in found)
        foreign = sum(one.verdict == "foreign" for one in found)
        rest = f", {foreign} by hand" if foreign else ""
        wrong = f", {output.paint(f'{len(bad)} not as they should be', 'red')}" if bad else ""
        output.emit(f"{plural(verified, 'commit')} verified{rest}{wrong}")
    return int(ExitCode.FAILED if bad else ExitCode.DONE)


def _document(one: Found) -> dict[str, Any]:
    receipt = one.receipt
    return {
        "commit": one.commit,
        "subject": one.subject,
        "verdict": one.verdict,
        "wrong": one.wrong,
        "queue": one.queue,
        "tree": receipt.tree if receipt else None,
        "entry": receipt.entry.id if receipt else None,
        "name": receipt.entry.name if receipt else None,
        "run": receipt.entry.run if receipt else None,
        "ticket": receipt.entry.ticket if receipt else None,
        "landed": iso(receipt.at) if receipt else None,
        "gates": [
            {
                "gate": one.gate if isinstance(one.gate, str) else list(one.gate),
                "tree": one.tree,
                "at": iso(one.at),
                "seconds": one.seconds,
                "by": one.by,
                "env": one.env,
            }
            for one in (receipt.passes if receipt else ())
        ],
        "hook": receipt.hook if receipt else None,
    }


def _show(project: Project, one: Found, *, bad: bool) -> None:
    word = {"verified": "ok", "wrong": "WRONG", "foreign": "by hand"}[one.verdict]
    style = "red" if bad else "green" if one.verdict == "verified" else "dim"
    output.emit(f"{one.commit[:12]} {output.paint(word, style)} {output.clip(one.subject, 60)}")
    now = project.clock.now()
    for text in one.wrong:
        output.emit(f"  {text}")
    if bad and one.verdict == "foreign":
        output.emit("  no queue landed it: there is no receipt")
    for done in one.receipt.passes if one.receipt and not one.wrong else ():
        gate = done.gate if isinstance(done.gate, str) else shlex.join(done.gate)
        output.emit(f"  {gate}: green on tree {done.tree[:12]}, {local(done.at, now)}, {done.seconds:.1f} s, {done.by}")
