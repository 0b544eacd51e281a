"""`logs`: the output of a task, its last lines in the room and the whole as a file."""

from __future__ import annotations

from chatrixcd_threads.commands.call import Call
from chatrixcd_threads.commands.declare import Arg, Reply, command
from chatrixcd_threads.commands.output import BETWEEN_READS, just_ended, settled_output
from chatrixcd_threads.commands.show import status
from chatrixcd_threads.commands.tasks import TASK, Found, find_task
from chatrixcd_threads.semaphore.models import Line
from chatrixcd_threads.text.ansi import plain_line
from chatrixcd_threads.text.fit import Attachment
from chatrixcd_threads.text.markup import bold, lines, pre, text

SHOWN = 30
WIDEST = 120
STILL_ARRIVING = "It ended just now and its output was still arriving; ask again for the rest."


@command(
    "logs",
    "shows the last lines of a task's output, and all of it as a file when it is long",
    example="logs 42",
    args=(Arg("task", f"{TASK}; else the one this room last heard of", rest=True),),
)
def logs(call: Call) -> Reply:
    """Colours are taken out. While a task runs, the output is what Semaphore has stored so far.

    Right after its end it is read until it has stopped growing, for as long as nobody needs to hear that it takes long.
    """
    found = find_task(call, "logs")
    records, arriving = _output(call, found)
    printed = [plain_line(row) for record in records for row in record.output.split("\n")]
    rows = call.tools.clean("\n".join(printed)).split("\n") if printed else []
    head = text("Output of task ") + bold(f"#{found.task.id}") + ": " + status(found.task.status)
    if not rows:
        missing = (
            "Semaphore has no output of this task; it loses the lines of very short jobs at times."
            if found.task.finished
            else "There is no output yet."
        )
        return Reply(lines(head, STILL_ARRIVING if arriving else missing))
    last = [row[:WIDEST] for row in rows[-SHOWN:]]
    shown = head + pre("\n".join(last))
    note = STILL_ARRIVING if arriving else ""
    if len(rows) <= SHOWN and all(len(row) <= WIDEST for row in rows):
        return Reply(shown + note)
    whole = Attachment(f"task-{found.task.id}.log", "\n".join(rows).encode())
    count = f"The last {len(last)} of {len(rows)} lines; all of them are in {whole.name}."
    return Reply(shown + f"{count} {note}".rstrip(), whole)


def _output(call: Call, found: Found) -> tuple[list[Line], bool]:
    """The records, and whether more of them were still arriving."""
    tools = call.tools
    if not just_ended(found.task, tools.now()):
        return tools.semaphore.output(found.project_id, found.task.id), False
    reads = max(0, int(tools.settings.bot.soft_limit_seconds / BETWEEN_READS) - 1)
    records, settled = settled_output(tools.semaphore, found.project_id, found.task.id, reads, tools.pause)
    return records, not settled
