"""`config`: the settings files from a room: what is in force, what changed, back to the version before."""

from __future__ import annotations

from collections.abc import Mapping

from chatrixcd_threads.commands.call import Call, File
from chatrixcd_threads.commands.declare import Answer, Arg, Reply, command
from chatrixcd_threads.commands.notices import describe, diff_lines, moment
from chatrixcd_threads.errors import ConfigError, NotFound, UsageError
from chatrixcd_threads.journal import questions
from chatrixcd_threads.journal.audit import Deed
from chatrixcd_threads.policy.access import Right
from chatrixcd_threads.settings.config import show
from chatrixcd_threads.settings.document import read
from chatrixcd_threads.text.markup import bold, bullets, lines, person, pre, table, text

FILES = ("config", "messages", "aliases")


@command(
    "config",
    "shows, checks and takes back the settings files",
    example="config undo",
    right=Right.MANAGE,
    deed="look at or change the settings",
    args=(
        Arg(
            "action",
            "show: what is in force, secrets masked; history: the kept versions; diff: what changed since one of them; "
            "check: would the file be taken as it is now; undo: back to the version before; "
            "accept and decline: the answer to an edit that waits for a yes",
            required=True,
            choices=("show", "history", "diff", "check", "undo", "accept", "decline"),
        ),
        Arg("file", "config (if left out), messages or aliases; for diff also the number of a kept version"),
        Arg("number", "for diff the number of a kept version, for accept and decline that of the edit"),
    ),
)
def config(call: Call) -> Answer:
    """Dispatches on the action; each has one function."""
    named, number = call.values.get("file", "config"), call.values.get("number")
    if named.isdecimal():
        named, number = "config", named
    if named not in FILES:
        raise UsageError(f"I did nothing: there is no file “{named}”. There are {', '.join(FILES)}.")
    file = call.tools.files()[named]
    match call.values["action"]:
        case "show":
            return _show(call, named, file)
        case "history":
            return _history(file)
        case "diff":
            return _diff(file, number)
        case "check":
            return _check(file)
        case "accept" | "decline" as verdict:
            return _decide(call, file, number, yes=verdict == "accept")
        case _:
            return _undo(call, file)


@config.confirmed
def accept(call: Call, payload: Mapping[str, object]) -> Reply:
    """An admin has said yes to a held edit."""
    name = str(payload["file"])
    file = call.tools.files()[name.partition(".")[0]]
    outcome = file.decide(int(str(payload["number"])), True)
    if outcome is None:
        raise NotFound(
            f"That edit of {name} does not wait any more: the file was saved again, or the bot was restarted."
        )
    call.tools.told(outcome, call.sender)
    return Reply(text(f"✅ The change of {name} counts now."))


@config.declined
def decline(call: Call, payload: Mapping[str, object]) -> Reply:
    """An admin has said no to a held edit: it waits no more, and the bot may write the file again."""
    call.tools.files()[str(payload["file"]).partition(".")[0]].decide(int(str(payload["number"])), False)
    said = text(f"✖ Not done: {payload['summary']} — ") + person(call.sender) + ". "
    return Reply(said + "The file still holds it; undo takes it out.")


def _show(call: Call, named: str, file: File) -> Reply:
    version = file.version
    since = f"In force since {moment(version.since)}." + (
        "" if version.text is not None else " There is no file: these are the defaults."
    )
    if named == "config":
        return Reply(lines(since, _wrong(file), pre(show(call.tools.settings))))
    return Reply(lines(since, _wrong(file), pre(version.text or "{}")))


def _wrong(file: File) -> str:
    return f"The file itself is not used: {file.error.sentence}" if file.error else ""


def _history(file: File) -> Reply:
    rows = [(bold(copy.number), moment(copy.since)) for copy in file.kept.copies()]
    if not rows:
        return Reply(text(f"No version of {file.path.name} was kept yet."))
    return Reply(lines(f"Kept versions of {file.path.name}, newest first:", table(("number", "in force since"), rows)))


def _diff(file: File, number: str | None) -> Reply:
    copies = file.kept.copies()
    wanted = [copy for copy in copies if number is None or str(copy.number) == number]
    older = [copy for copy in wanted if number is not None or copy.text() != file.version.text]
    if not older:
        raise NotFound(f"There is no such kept version of {file.path.name}.")
    changes = [
        f"{diff.key}: {diff.after or 'nothing'} → {diff.before or 'nothing'}" for diff in file.diffs_to(older[0].text())
    ]
    title = f"From version {older[0].number} ({moment(older[0].since)}) to the one in force:"
    return Reply(lines(title, bullets(changes) if changes else "no difference that counts"))


def _check(file: File) -> Reply:
    try:
        diffs = file.diffs_to(read(file.path))
    except FileNotFoundError:
        return Reply(text(f"There is no file {file.path.name}."))
    except ConfigError as error:
        return Reply(lines(f"⛔ {file.path.name} would not be taken:", bullets(error.sentence.split("\n"))))
    if not diffs:
        return Reply(text(f"✅ {file.path.name} is good, and says what is in force."))
    return Reply(lines(f"✅ {file.path.name} is good. It would change:", bullets(diff_lines(diffs))))


def _decide(call: Call, file: File, number: str | None, *, yes: bool) -> Reply:
    """The answer to a held edit, wherever it was asked: the question in the admin room is settled with it."""
    name, held = file.path.name, file.held
    if held is None or number not in (None, str(held)):
        raise NotFound(f"I did nothing: no such edit of {name} waits for an answer; it may have been saved again.")
    outcome = file.decide(held, yes)
    asked = tuple(
        each
        for each in questions.all_open(call.tools.journal.read())
        if each.action == "config" and each.payload.get("file") == name and each.payload.get("number") == held
    )
    if not yes:
        return Reply(
            text(f"✖ The edit of {name} does not count. The file still holds it; undo takes it out."), declined=asked
        )
    if outcome is None:
        raise NotFound(f"I did nothing: the edit of {name} does not wait any more.")
    call.tools.told(outcome, call.sender)
    return Reply(text(f"✅ The change of {name} counts now."), accepted=asked)


def _undo(call: Call, file: File) -> Reply:
    copy, outcome = file.undo()
    if outcome is not None:
        call.tools.told(outcome, call.sender, Deed.CONFIG_UNDONE)
    came = describe(outcome).title if outcome is not None else ""
    return Reply(lines(f"↩ {file.path.name} holds version {copy.number} of {moment(copy.since)} again.", came))
