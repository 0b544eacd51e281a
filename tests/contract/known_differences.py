"""Every difference between the stand-in and the recordings that is known and accepted, each with its reason.

A test fails when a difference is not listed here, and when an entry of this table is no longer needed.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Known:
    """Accepted differences: stores and scenarios by name, the rest by regular expressions."""

    stores: str
    scenario: str
    what: str
    text: str
    reason: str
    sometimes: bool = False  # depends on the moment: no failure when it does not occur


@dataclass(frozen=True)
class NotReplayed:
    """A recording that cannot be replayed."""

    stores: str
    scenario: str
    reason: str


NOT_REPLAYED: tuple[NotReplayed, ...] = ()
_ALL = "bolt postgres sqlite-2.16"
_OLD = "bolt postgres"
_FEW = "The recorded server had some 50 to 80 tasks of all templates behind it, ours has four."
_ALERT = "Alerts to Slack were switched on; the stand-in sends none."

KNOWN: tuple[Known, ...] = (
    Known(_ALL, "lists", r"templates", r"last_task", _FEW),
    Known(_OLD, "lists", r"GET /api/tasks$", r"elements were recorded, we give 0", _FEW),
    Known(
        _OLD,
        "permissions",
        r"templates/1$",
        r"last_task\.(start|end): null was recorded",
        "The template's last task was still waiting for the tick of five seconds; ours has ended.",
    ),
    Known(
        _ALL,
        "resources",
        r"tasks/last",
        r"\.(user_id|user_name)|\.(start|end): null|elements were recorded",
        "The task of the clock has started sooner than the tick of five seconds; the calls of the integration "
        "that start tasks carried a header which the recording leaves out.",
    ),
    Known(
        _ALL,
        "resources",
        r"GET /api/tasks/\d+$",
        r"elements were recorded",
        "For the same reason other tasks are queued at that moment.",
        sometimes=True,
    ),
    Known(
        "bolt",
        "long-run-stop",
        r"tasks/2147483624|states of task 2147483624",
        r"stopping",
        "Two stops at once raced inside the Bolt store: the second wrote back an older row. Ours handles one at a time.",
    ),
    Known(
        "bolt",
        "terraform-confirm",
        r"tasks/2147483612|states of task 2147483612",
        r"waiting_confirmation",
        "Bolt had lost the line 'No changes.', so the task asked for a confirmation of nothing.",
    ),
    Known("sqlite-2.16", "alerts-deploy-without-build", r"output", r"slack alert", _ALERT),
    Known("bolt", "alerts-deploy-without-build", r"output", r"slack alert", _ALERT, sometimes=True),
    Known("bolt", "terraform-confirm-early", r"output", r"slack alert", _ALERT),
    Known(
        "bolt",
        "alerts-deploy-without-build",
        r"websocket|tasks/2147483642$|ping",
        r"an end was recorded|ConnectionError was recorded",
        "With alerts on, this deploy killed the real server. " + _ALERT,
    ),
    Known(
        _OLD,
        "output-big",
        r"output",
        r"output without",
        "2.10 cut the job's last thousand lines, the last one in its middle. Ours loses whole lines, when told to.",
    ),
)
