"""Every key of the console: footer, help page, docs/keys.rst and the lookup itself are made from this one table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final


@dataclass(frozen=True, slots=True)
class Key:
    """`keys` do `command` in `context`. `label` stands in the footer (empty: only on the help page)."""

    keys: tuple[str, ...]
    command: str
    context: str
    label: str
    help: str


CONTEXTS: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = {
    # context: (heading, contexts that are asked next)
    "all": ("Everywhere", ()),
    "move": ("Lists and texts", ("all",)),
    "text": ("Texts: log, output, answers", ("move", "all")),
    "first": ("First page", ("move", "all")),
    "tasks": ("Tasks", ("move", "all")),
    "output": ("Output of a task", ("text", "move", "all")),
    "rooms": ("Rooms", ("move", "all")),
    "asked": ("Questions and launches", ("move", "all")),
    "files": ("Settings files", ("move", "all")),
    "threads": ("Threads", ("move", "all")),
    "log": ("Log", ("text", "move", "all")),
    "devices": ("Devices", ("move", "all")),
    "audit": ("Audit", ("move", "all")),
    "help": ("Help", ("text", "move", "all")),
    "overlay": ("A window with an answer", ("text", "move", "all")),
    "confirm": ("A question of the console", ()),
    "bar": ("Command bar", ()),
    "wizard": ("First start", ()),
}

KEYS: Final[tuple[Key, ...]] = (
    Key((":",), "bar", "all", "command", "type a command to the bot, as in a room but without the prefix"),
    Key(("?", "f1"), "view help", "all", "keys", "this list"),
    Key(
        ("q",),
        "quit",
        "all",
        "quit",
        "stop the bot (the console asks first); an attached console is only left, and the bot goes on",
    ),
    Key(("1",), "view first", "all", "", "first page: is something wrong, and what is the next step"),
    Key(("2",), "view tasks", "all", "", "tasks and their output"),
    Key(("3",), "view rooms", "all", "", "rooms and invites"),
    Key(("4",), "view asked", "all", "", "open questions, launches that are not settled"),
    Key(("5",), "view files", "all", "", "settings files"),
    Key(("6",), "view threads", "all", "", "threads"),
    Key(("7",), "view log", "all", "", "log"),
    Key(("8",), "view devices", "all", "", "devices and their verification"),
    Key(("9",), "view audit", "all", "", "audit: who asked, started, stopped and changed what"),
    Key(("tab",), "next view", "all", "", "the next view"),
    Key(("shift tab",), "previous view", "all", "", "the view before"),
    Key(("esc",), "back", "all", "", "back: close what is open, then to the first page"),
    Key(("a",), "answers", "all", "", "the newest answers of the bot"),
    Key(("M",), "mouse", "all", "", "mouse on or off (off: the terminal can select text)"),
    Key(("ctrl l",), "redraw", "all", "", "draw everything anew"),
    Key(("up", "k"), "up", "move", "", "up"),
    Key(("down", "j"), "down", "move", "", "down"),
    Key(("page up", "ctrl b"), "page up", "move", "", "a page up"),
    Key(("page down", "ctrl f", " "), "page down", "move", "", "a page down"),
    Key(("home", "g"), "first", "move", "", "to the beginning"),
    Key(("end", "G"), "last", "move", "", "to the end; a text follows what comes from there on"),
    Key(("/",), "search", "text", "search", "search; n and N go to the next and the one before"),
    Key(("n",), "next match", "text", "", "next place that was searched for"),
    Key(("N",), "previous match", "text", "", "place before"),
    Key(("e",), "errors only", "text", "errors", "only lines that look like errors, or all again"),
    Key(
        ("y",),
        "copy",
        "text",
        "",
        "copy the line that was gone to, or the last one (OSC 52; the terminal must allow it)",
    ),
    Key(("enter",), "whole", "text", "whole lines", "the lines on the screen in full, folded where they are too long"),
    Key(("f",), "follow", "text", "follow", "follow what comes, or stand still"),
    Key(("enter",), "open", "first", "next step", "do what stands at the right of the line"),
    Key(("p",), "ask ping", "first", "ping", "ask the bot to try Matrix, Semaphore and journal"),
    Key(("enter", "right"), "open", "tasks", "output", "the output of the task, following it"),
    Key(("s",), "stop", "tasks", "stop", "stop the task (the console asks first)"),
    Key(("i",), "details", "tasks", "details", "ask the bot for the status of the task"),
    Key(
        ("/",),
        "search",
        "tasks",
        "filter",
        "only tasks with a word: a number, name, person or state such as asks, late, error; empty shows all",
    ),
    Key(("left",), "back", "output", "list", "back to the list"),
    Key(("l",), "level", "output", "level", "all lines, warnings and errors, errors only"),
    Key(("s",), "stop", "output", "stop", "stop the task (the console asks first)"),
    Key(("enter",), "open", "rooms", "details", "everything about the room"),
    Key(("y",), "accept", "rooms", "accept", "accept the invite (the console asks first)"),
    Key(("x",), "leave", "rooms", "refuse/leave", "refuse the invite or leave the room (the console asks first)"),
    Key(("o",), "join", "rooms", "join", "type the room to join"),
    Key(("/",), "search", "rooms", "filter", "only rooms with a word: a name, a person, invite, mute; empty shows all"),
    Key(("enter",), "open", "asked", "details", "everything about the line, and what can be done"),
    Key(("w",), "withdraw", "asked", "withdraw", "withdraw the question (the console asks first)"),
    Key(("s",), "started", "asked", "started", "the launch in doubt was started: type the number of its task"),
    Key(("x",), "not started", "asked", "not started", "the launch in doubt was not started (the console asks first)"),
    Key(("/",), "search", "asked", "filter", "only lines with a word: a person, a template, doubt; empty shows all"),
    Key(("enter",), "open", "files", "text", "the version in force, secrets masked"),
    Key(("d",), "differs", "files", "diff", "from the version in force to the file on disk, secrets masked"),
    Key(
        ("i",), "details", "files", "details", "what is wrong with the file and where, or what a held edit would change"
    ),
    Key(("E",), "edit", "files", "edit", "edit the file in $VISUAL or $EDITOR; the bot goes on meanwhile"),
    Key(("y",), "accept", "files", "accept", "accept the edit that waits for a yes (the console asks first)"),
    Key(("x",), "decline", "files", "decline", "decline the edit that waits for a yes (the console asks first)"),
    Key(("D",), "ask diff", "files", "", "what changed since the version before"),
    Key(("c",), "ask check", "files", "check", "would the file be taken as it is now"),
    Key(("h",), "ask history", "files", "history", "the kept versions"),
    Key(("u",), "undo", "files", "undo", "back to the version before (the console asks first)"),
    Key(("r",), "reload", "files", "reload", "read all files again (the console asks first)"),
    Key(("v",), "preview", "files", "messages", "all messages as they are said, in every tone; follows messages.json"),
    Key(
        ("enter",),
        "open",
        "threads",
        "stack",
        "everything about the line, and what the thread, or the one that works for the lane, is doing right now",
    ),
    Key((">",), "next error", "log", "next error", "the next error"),
    Key(("<",), "previous error", "log", "error before", "the error before"),
    Key(("l",), "level", "log", "level", "from which level on lines are shown"),
    Key(
        ("s",),
        "start",
        "devices",
        "verify",
        "ask the device to be verified, or accept and start (the console asks first)",
    ),
    Key(("y",), "same", "devices", "same", "the emoji are the same on both sides (the console asks first)"),
    Key(("n",), "not the same", "devices", "not", "they are not the same (the console asks first)"),
    Key(("x",), "cancel", "devices", "cancel", "end the verification (the console asks first)"),
    Key(("enter",), "open", "devices", "details", "everything about the device or the verification"),
    Key(
        ("r",),
        "ask in a room",
        "devices",
        "in a room",
        "ask the person in a room to be verified (the console asks first)",
    ),
    Key(("enter",), "open", "audit", "details", "everything about the line"),
    Key(("/",), "search", "audit", "filter", "only lines with a word: a person, a kind, a template; empty shows all"),
    Key(("esc", "q", "enter"), "close", "overlay", "close", "close the window"),
    Key(("y", "Y"), "yes", "confirm", "yes", "do it"),
    Key(("n", "N", "esc", "q"), "no", "confirm", "no", "do nothing"),
    Key(("enter",), "send", "bar", "send", "hand the command to the bot"),
    Key(("tab",), "complete", "bar", "complete", "complete the name of the command"),
    Key(("up",), "older", "bar", "history", "the command before"),
    Key(("down",), "newer", "bar", "", "the command after"),
    Key(("esc",), "close", "bar", "close", "close the bar"),
    Key(("enter",), "next", "wizard", "next", "try the answer, and go on when it holds"),
    Key(("esc",), "back", "wizard", "back", "the question before; while an answer is being tried: stop that"),
    Key(("?", "f1"), "explain", "wizard", "help", "explain the question (? only in an empty field)"),
    Key(("ctrl c",), "quit", "wizard", "quit", "end it all; nothing is written"),
    Key(("tab",), "next field", "wizard", "", "from the answer to the buttons, and back"),
    Key(("shift tab",), "previous field", "wizard", "", "the other way round"),
    Key(("ctrl u",), "clear", "wizard", "", "empty the field"),
    Key(("up",), "up", "wizard", "", "the text a line up"),
    Key(("down",), "down", "wizard", "", "the text a line down"),
    Key(("page up",), "page up", "wizard", "", "the text a page up"),
    Key(("page down",), "page down", "wizard", "", "the text a page down"),
    Key(("ctrl l",), "redraw", "wizard", "", "draw everything anew"),
)

# In a console that is attached to a bot in another process.
ATTACHED: Final = tuple(
    replace(each, label="detach", help="leave this console; the bot goes on (:exit stops it)")
    if each.command == "quit" and each.context == "all"
    else each
    for each in KEYS
)

_NAMES: Final = {" ": "space"}


class Table:
    """The table by context. Owner: the ui thread; the keys never change."""

    def __init__(self, keys: Iterable[Key] = KEYS) -> None:
        self.keys = tuple(keys)
        self._by_context: dict[str, dict[str, Key]] = {context: {} for context in CONTEXTS}
        self._hints: dict[str, list[tuple[str, str]]] = {}
        for each in self.keys:
            for key in each.keys:
                if key in self._by_context[each.context]:
                    raise ValueError(f"{key} stands twice in {each.context}")
                self._by_context[each.context][key] = each

    def command(self, context: str, key: str) -> str | None:
        """What the key does here."""
        found = self._find(context, key)
        return found.command if found else None

    def active(self, context: str) -> tuple[Key, ...]:
        """Every key that works here, the nearest first."""
        chain = (context, *CONTEXTS[context][1])
        return tuple(
            each
            for place in chain
            for each in self.keys
            if each.context == place and any(self._find(context, key) is each for key in each.keys)
        )

    def hints(self, context: str) -> list[tuple[str, str]]:
        """Key and label for the footer, the most important first."""
        if context not in self._hints:
            self._hints[context] = [(name(each.keys[0]), each.label) for each in self.active(context) if each.label]
        return self._hints[context]

    def labels(self, context: str, commands: Sequence[str]) -> list[tuple[str, str]]:
        """Key and label of some of the commands that work there."""
        return [
            (name(each.keys[0]), each.label) for each in self.active(context) if each.command in commands and each.label
        ]

    def sections(self, *, without: str = "") -> list[tuple[str, list[tuple[str, str]]]]:
        """Headings with key names and help, for the help page and the documents; one context may be left out."""
        return [(heading, self.section(each)) for each, (heading, _) in CONTEXTS.items() if each != without]

    def section(self, context: str) -> list[tuple[str, str]]:
        """Key names and help of one context."""
        return [(", ".join(name(key) for key in each.keys), each.help) for each in self.keys if each.context == context]

    def _find(self, context: str, key: str) -> Key | None:
        for place in (context, *CONTEXTS[context][1]):
            found = self._by_context[place].get(key)
            if found is not None:
                return found
        return None


def name(key: str) -> str:
    """A key as people call it."""
    return _NAMES.get(key, key)


def keys_page(keys: Sequence[Key] = KEYS) -> str:
    """The page docs/keys.rst."""
    lines = [
        "Keys of the console",
        "===================",
        "",
        ".. This page is made by ``python -m chatrixcd_threads.console.keys > docs/keys.rst``; a test compares them.",
        "",
        "The footer shows the keys that work where you are; ``?`` shows all of them. The mouse (``-m``) is never needed.",
        "",
    ]
    for heading, entries in Table(keys).sections():
        lines += [heading, "-" * len(heading), ""]
        lines += [f"* {_literal(names)}: {text}" for names, text in entries]
        lines.append("")
    return "\n".join(lines)


def _literal(names: str) -> str:
    return ", ".join(f"``{each}``" for each in names.split(", "))


if __name__ == "__main__":
    import sys

    sys.stdout.write(keys_page())
