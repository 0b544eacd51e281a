"""Devices: the bot's own with its fingerprint, verifications with their emoji, and whose devices are in the rooms."""

from __future__ import annotations

from typing import Final

from chatrixcd_threads.console.board import Board
from chatrixcd_threads.console.cells import can_unicode, cut, fit, many, shown, span, wide
from chatrixcd_threads.console.rows import Row, Rows
from chatrixcd_threads.console.status import Grade, style, symbol
from chatrixcd_threads.console.views.base import View, table
from chatrixcd_threads.events import DeviceInfo, Devices, Stage, Verification

_GROUP: Final = 4
_INDENT: Final = 4
_BRIEF: Final = 4  # emoji on a line when not all seven fit
_TRUST: Final = {
    # trust: grade, word
    "verified": (Grade.OK, "verified"),
    "signed": (Grade.IDLE, "signed"),
    "unsigned": (Grade.WARN, "unsigned"),
    "blocked": (Grade.BAD, "blocked"),
}
_STAGES: Final = {
    # stage: grade, word, what is to be done
    Stage.ASKED: (Grade.WARN, "asks", "s accepts, x refuses"),
    Stage.ASKING: (Grade.BUSY, "asked", "to be accepted on that device"),
    Stage.READY: (Grade.WARN, "ready", "s starts, or the other side does"),
    Stage.STARTED: (Grade.BUSY, "keys", "keys are being exchanged"),
    Stage.COMPARE: (Grade.WARN, "compare", "y the same, n not the same"),
    Stage.MATCHED: (Grade.BUSY, "matched", "the other side's yes is awaited"),
    Stage.DONE: (Grade.OK, "verified", ""),
    Stage.ENDED: (Grade.IDLE, "ended", ""),
}
_DEEDS: Final = ("start", "same", "not the same", "cancel")
_OVER: Final = (Stage.DONE, Stage.ENDED)


class DeviceList(View):
    """Owner: the ui thread."""

    name = "devices"
    title = "Devices"
    tab = "Device"
    _devices = Devices()

    def draw(self, board: Board, columns: int, height: int) -> None:
        """Verifications first: they do not wait for long."""
        self._devices = board.devices
        rows: list[Row] = []
        keys: list[tuple[str, ...]] = []
        for each in board.devices.running:
            block = _flow(each, columns, board.now, pictures=self.hands.pictures())
            rows += block
            keys += [("flow", each.flow, str(number)) for number in range(len(block))]
        own = _own(board.devices, columns)
        rows += own
        keys += [("own", "", str(number)) for number in range(len(own))]
        rows += [_row(each, columns, board.now) for each in board.devices.known]
        keys += [("device", each.user_id, each.device_id) for each in board.devices.known]
        if not board.devices.known:
            rows.append(Row((("dim", "No device of anybody is known: they are those of people in encrypted rooms."),)))
            keys.append(("", "", ""))
        self.pane.give(Rows.of(rows, keys))

    def act(self, command: str) -> bool:
        flow, device = self._flow(), self._device()
        match command:
            case "open" if device is not None:
                self.hands.tell(
                    f"Device {device.device_id}", lambda: _explain(device), deeds=("start", "ask in a room")
                )
            case "open" if flow is not None:
                self.hands.tell("Verification", lambda: self._told(flow), deeds=_DEEDS)
            case "start" if flow is not None and flow.stage in (Stage.ASKED, Stage.READY):
                self._ask(f"Go on with the verification of {_named(flow)}?", "accept", flow.flow)
            case "start" | "ask in a room" if device is not None:
                self._begin(device, in_room=command != "start")
            case "same" if flow is not None and flow.stage is Stage.COMPARE:
                seen = f"{', '.join(name for _, name in flow.emoji)}; {_numbers(flow)}".removeprefix("; ")
                self._ask(
                    f"{seen}: are exactly these shown by {_named(flow)}, and did its owner tell you, not a message?",
                    "match",
                    flow.flow,
                )
            case "not the same" if flow is not None and flow.stage is Stage.COMPARE:
                self._ask(f"Are they not the same on {_named(flow)}? It is ended then.", "mismatch", flow.flow)
            case "cancel" if flow is not None:
                self._ask(f"End the verification of {_named(flow)}?", "cancel", flow.flow)
            case "open" | "start" | "ask in a room" | "same" | "not the same" | "cancel":
                self.hands.notice("Choose a device to be verified, or a verification in which this can be done now.")
            case _:
                return super().act(command)
        return True

    def heading(self, board: Board) -> str:
        verified = sum(each.trust == "verified" for each in board.devices.known)
        running = sum(each.stage not in _OVER for each in board.devices.running)
        going = f", {many(running, 'verification')}" if running else ""
        return f"{many(len(board.devices.known), 'device')}, {verified} verified{going}"

    def _told(self, flow: Verification) -> list[str]:
        """As it is now, or as it was when it was last seen."""
        flow = next((each for each in self._devices.running if each.flow == flow.flow), flow)
        pictures = self.hands.pictures()
        emoji = [f"{symbol if pictures else '-'} {name}" for symbol, name in flow.emoji]
        word, what = _STAGES[flow.stage][1:]
        said = [f"{_named(flow)}: {word}", shown(flow.note) or what, ""]
        if flow.stage is not Stage.COMPARE:
            return [*said, *emoji, _numbers(flow)]
        return [
            *said,
            *emoji,
            _numbers(flow),
            "",
            "Compare with what its owner tells you, by another way than a message.",
        ]

    def _ask(self, question: str, verb: str, what: str, device: str = "") -> None:
        self.hands.ask(question, lambda: self.hands.doors.verify(verb, what, device))

    def _begin(self, device: DeviceInfo, *, in_room: bool) -> None:
        user = shown(device.user_id)
        if in_room:
            self._ask(f"Ask {user} in a room to verify a device? All its members see that.", "start", device.user_id)
        else:
            question = f"Ask device {shown(device.device_id)} of {user} to be verified?"
            self._ask(question, "start", device.user_id, device.device_id)

    def _flow(self) -> Verification | None:
        """The selected verification that runs; when none is selected, the only one."""
        running = [each for each in self._devices.running if each.stage not in _OVER]
        chosen = self.pane.chosen
        if isinstance(chosen, tuple) and chosen[0] == "flow":
            return next((each for each in running if each.flow == chosen[1]), None)
        return running[0] if len(running) == 1 and self._device() is None else None

    def _device(self) -> DeviceInfo | None:
        chosen = self.pane.chosen
        return next((each for each in self._devices.known if chosen == ("device", each.user_id, each.device_id)), None)


def grouped(fingerprint: str) -> str:
    """A key as people compare it: in groups of four."""
    return " ".join(fingerprint[at : at + _GROUP] for at in range(0, len(fingerprint), _GROUP))


def _own(devices: Devices, columns: int) -> list[Row]:
    if not devices.device_id:
        return []  # there was no session yet
    grade, word = (Grade.OK, "signed") if devices.cross_signed else (Grade.WARN, "unsigned")
    said = f"this bot, {shown(devices.device_id)}, {'cross-signed' if devices.cross_signed else 'not cross-signed'}"
    head = table(columns, [(style(grade), f"{symbol(grade)} {word}", 10), ("title", said, 0)])
    parts = grouped(devices.fingerprint).split()
    fitting = max(1, (columns - 2 - _INDENT) // (_GROUP + 1))
    lines = [" ".join(parts[at : at + fitting]) for at in range(0, len(parts), fitting)]
    return [head, *(_indented("body", line) for line in lines)]


def _flow(flow: Verification, columns: int, now: float, *, pictures: bool) -> list[Row]:
    grade, word, what = _STAGES[flow.stage]
    said = shown(flow.note) if flow.stage in _OVER else f"{what}; {span(flow.ends_at - now)} left"
    head = table(columns, [(style(grade), f"{symbol(grade)} {word}", 10), ("title", _named(flow), 0)])
    rows = [head, _indented("body", said)] if said else [head]
    if flow.stage not in (Stage.COMPARE, Stage.MATCHED):
        return rows
    return [*rows, *_emoji(flow.emoji, columns - 2 - _INDENT, pictures), _indented("title", _numbers(flow))]


def _emoji(emoji: tuple[tuple[str, str], ...], room: int, pictures: bool) -> list[Row]:
    """Pictures with their names under them; names alone where the terminal may count columns in another way."""
    if not emoji:
        return []
    width = max(wide(name) for _, name in emoji) + 2
    abreast = max(1, room // width)
    abreast = abreast if abreast >= len(emoji) else min(abreast, _BRIEF)
    rows = []
    for at in range(0, len(emoji), abreast):
        part = emoji[at : at + abreast]
        if pictures and can_unicode():
            rows.append(_indented("title", "".join(fit(symbol, width) for symbol, _ in part)))
        rows.append(_indented("title", "".join(fit(name, width) for _, name in part)))
    return rows


def _row(device: DeviceInfo, columns: int, now: float) -> Row:
    grade, word = _TRUST.get(device.trust, (Grade.WARN, device.trust))
    named = f"{device.device_id} {device.name}" if device.name else device.device_id
    cells = [
        (style(grade), f"{symbol(grade)} {shown(word)}", 10),
        ("title" if device.admin else "body", shown(device.user_id), 0),
        ("body", shown(named), 14 if columns < 60 else 26),
    ]
    if columns >= 60:
        cells.append(("dim", f"{'admin, ' if device.admin else ''}{span(now - device.since)}", 15))
    return table(columns, cells)


def _explain(device: DeviceInfo) -> list[str]:
    words = {
        "verified": "It was verified: somebody here compared emoji with its owner.",
        "signed": "It was not verified here. Its owner's own key vouches for it.",
        "unsigned": "It was not verified, and its owner does not vouch for it: it may be anybody's.",
        "blocked": "It is blocked: it gets no keys.",
    }
    return [
        f"{shown(device.device_id)} {shown(device.name)} of {shown(device.user_id)}{', an admin' if device.admin else ''}",
        "",
        f"Fingerprint: {grouped(shown(device.fingerprint))}",
        "",
        words.get(device.trust, shown(device.trust)),
        "s asks this device to be verified; r asks the person in a room, as Element X expects it.",
    ]


def _indented(look: str, line: str) -> Row:
    return Row((("body", " " * _INDENT), (look, line)))


def _named(flow: Verification) -> str:
    return f"{cut(shown(flow.user_id), 40)} ({cut(shown(flow.device_id), 20) or 'any device'})"


def _numbers(flow: Verification) -> str:
    return " ".join(map(str, flow.decimals))
