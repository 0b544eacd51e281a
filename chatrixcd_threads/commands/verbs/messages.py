"""`messages`: looks at the playful texts, changes to another pack of them, hands them out as a file."""

from __future__ import annotations

from chatrixcd_threads.commands.call import Call
from chatrixcd_threads.commands.declare import Arg, Reply, command
from chatrixcd_threads.errors import UsageError
from chatrixcd_threads.policy.access import Right
from chatrixcd_threads.settings import packs
from chatrixcd_threads.settings.texts import PLACEHOLDERS, USED, render
from chatrixcd_threads.text.fit import Attachment
from chatrixcd_threads.text.markup import bold, bullets, code, from_markdown, lines, table, text
from chatrixcd_threads.text.nearest import nearest

SAMPLE_TASK = "Deploy the web shop"


@command(
    "messages",
    "shows the texts I say in lighter moments, or changes them",
    example="messages preview greetings",
    rights={"use": Right.MANAGE},
    deed="change the messages",
    args=(
        Arg(
            "action",
            "preview: the texts of a category with sample values; packs: the sets of texts that come with me; "
            "use: writes a pack into messages.json; export: all texts as a file",
            required=True,
            choices=("preview", "packs", "use", "export"),
        ),
        Arg("name", "a category for preview, a pack for use"),
    ),
)
def messages(call: Call) -> Reply:
    """Dispatches on the action; each has one function."""
    name = call.values.get("name")
    match call.values["action"]:
        case "preview":
            return _preview(call, _needed(call, "category", name))
        case "use":
            return _use(call, _needed(call, "pack", name))
        case action if name is not None:
            raise UsageError(f"I did nothing: I do not know what to do with “{name}” after {action}.")
        case "packs":
            return _packs(call)
        case _:
            return _export(call)


def _needed(call: Call, what: str, name: str | None) -> str:
    if name is None:
        known = PLACEHOLDERS if what == "category" else packs.names()
        raise UsageError(f"I did nothing: which {what}? There are {', '.join(known)}.")
    return name


def _preview(call: Call, category: str) -> Reply:
    if category not in PLACEHOLDERS:
        near = nearest(category, PLACEHOLDERS)
        hint = f" Did you mean “{near}”?" if near else ""
        raise UsageError(
            f"I did nothing: there is no category “{category}”.{hint} There are {', '.join(PLACEHOLDERS)}."
        )
    values = {"name": call.sender, "user_name": call.sender, "task_name": SAMPLE_TASK}
    said = [from_markdown(render(each, values)) for each in call.tools.messages.get_all_messages(category)]
    return Reply(lines(bold(category) + f": {USED[category]}", bullets(said)))


def _packs(call: Call) -> Reply:
    values = {"name": call.sender, "user_name": call.sender, "task_name": SAMPLE_TASK}
    used = packs.in_force(call.tools.messages.hot.now)
    rows = []
    for name in packs.names():
        sample = from_markdown(render(packs.read_pack(name)["task_start"][0], values))
        rows.append((bold(name) if name == used else text(name), sample, "in use" if name == used else ""))
    own = "The texts in use are your own." if used is None else ""
    how = text("Change over: ") + code(f"{call.prefix} messages use {packs.names()[0]}")
    return Reply(lines(table(("pack", "sounds like", ""), rows), own, how))


def _use(call: Call, name: str) -> Reply:
    call.tools.told(packs.use(name.casefold(), call.tools.messages), call.sender)
    how = text("The texts from before were kept. To bring them back: ") + code(f"{call.prefix} config undo messages")
    return Reply(lines(text("🎭 From now on I talk ") + bold(name.casefold()) + ".", how))


def _export(call: Call) -> Reply:
    data = packs.export(call.tools.messages.hot.now).encode()
    return Reply(text("All texts in use, as a file that I can read again."), Attachment("messages.json", data))
