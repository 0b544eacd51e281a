"""`reload`: reads the settings files now, whatever the watch has seen."""

from __future__ import annotations

from chatrixcd_threads.commands.call import Call
from chatrixcd_threads.commands.declare import Reply, command
from chatrixcd_threads.commands.notices import describe
from chatrixcd_threads.policy.access import Right
from chatrixcd_threads.text.markup import bullets, lines


@command("reload", "reads config, messages and aliases again", right=Right.MANAGE, deed="reload the settings")
def reload(call: Call) -> Reply:
    """Says for each file what came of it."""
    said = []
    for file in call.tools.files().values():
        outcome = file.check_for_changes(force=True)
        if outcome is None:
            said.append(
                f"{file.path.name}: "
                + ("there is no file, the defaults count" if file.version.text is None else "nothing new")
            )
            continue
        call.tools.told(outcome)
        notice = describe(outcome)
        said.append(" ".join((notice.title, *notice.lines)))
    said += call.tools.reconnect()
    return Reply(lines("I have read the files again:", bullets(said)))
