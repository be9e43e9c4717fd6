"""What `smithers notify` prints."""

from __future__ import annotations

from smithers_git.edge import output
from smithers_git.errors import ConfigError, ExitCode
from smithers_git.front.words import plural
from smithers_git.service import notify
from smithers_git.service.project import Project


def tell(project: Project, *, test: bool, as_json: bool) -> int:
    """Send what is due, or a sample; exit code 1 when a notifier failed."""
    ways = notify.notifiers(project)
    if test and not ways:
        raise ConfigError(
            "no way to notify is configured",
            hint="set desktop, command or webhook below [notify] in .smithers/config.toml",
        )
    done = notify.test(project) if test else notify.send_due(project)
    failed = [one for one in done if one.error is not None]
    if as_json:
        rows = [
            {
                "by": one.notifier,
                "id": one.notice.id,
                "event": one.notice.event,
                "run": one.notice.run,
                "error": one.error,
            }
            for one in done
        ]
        output.document({"ways": [way.name for way in ways], "sent": rows})
        return int(ExitCode.FAILED if failed else ExitCode.DONE)
    # Not the reason: this is also a log, and the reason may hold what only those who are told should know.
    for one in done:
        what = "a sample" if test else f"{one.notice.event} of {one.notice.run or 'a branch'}"
        output.emit(f"{one.notifier}: {what}" + (f" failed: {one.error}" if one.error else ""))
    if not done:
        output.note("there is nothing to tell" if ways else "no way to notify is configured: see [notify] in the docs")
    else:
        output.note(f"{plural(len(done) - len(failed), 'notification')} sent")
    return int(ExitCode.FAILED if failed else ExitCode.DONE)
