"""`devices`: whose devices are in the bot's rooms, and how far each is trusted."""

from __future__ import annotations

from datetime import timedelta

import humanize

from chatrixcd_threads.commands.call import Call
from chatrixcd_threads.commands.declare import Arg, Reply, command
from chatrixcd_threads.errors import NotFound
from chatrixcd_threads.events import DeviceInfo
from chatrixcd_threads.policy.access import Right
from chatrixcd_threads.text.markup import bold, code, lines, person, table, text

MOST = 40
WORDS = {
    "verified": "✅ verified",
    "signed": "signed by its owner",
    "unsigned": "⚠ signed by nobody",
    "blocked": "⛔ blocked",
}


@command(
    "devices",
    "lists the devices in my rooms and how far each is trusted",
    example="devices @ann:example.org",
    right=Right.MANAGE,
    deed="see people's devices",
    args=(Arg("user", "a Matrix id; then with fingerprints"),),
)
def devices(call: Call) -> Reply:
    """Admins first, then the newest. The own fingerprint stands on top, to be compared in another client."""
    known, user = call.tools.devices(), call.values.get("user")
    if user is None:
        signed = "signed by my own cross-signing key" if known.cross_signed else "not cross-signed"
        head = (
            text("I am device ")
            + bold(known.device_id)
            + f", {signed}. Fingerprint: "
            + code(grouped(known.fingerprint))
        )
        rows = [(person(each.user_id), *_row(each, call.tools.now())) for each in known.known[:MOST]]
        more = f"… and {len(known.known) - MOST} more." if len(known.known) > MOST else ""
        return Reply(lines(head, table(("person", "device", "trust", "known for"), rows) if rows else "", more))
    found = [each for each in known.known if each.user_id == user]
    if not found:
        raise NotFound(f"I know no device of {user}. I see those of admins and of members of encrypted rooms I am in.")
    rows = [(*_row(each, call.tools.now()), code(grouped(each.fingerprint))) for each in found[:MOST]]
    return Reply(lines(person(user), table(("device", "trust", "known for", "fingerprint"), rows)))


def grouped(fingerprint: str) -> str:
    """A key as people compare it: in groups of four."""
    return " ".join(fingerprint[at : at + 4] for at in range(0, len(fingerprint), 4))


def _row(device: DeviceInfo, now: float) -> tuple[object, ...]:
    named = bold(device.device_id) + (f" ({device.name})" if device.name else "")
    since = humanize.naturaldelta(timedelta(seconds=max(0.0, now - device.since)))
    return named, WORDS.get(device.trust, device.trust), since
