"""What the first output proves. Answer and read-back only show what was asked; the lines show what is done (DESIGN 6).

A verdict is one of three: the lines show it as asked, they contradict it, or they say nothing about it. Silence is never
taken for a proof: logs lose lines.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from chatrixcd_threads.text.ansi import plain_line

_HOST_LINE: Final = re.compile(
    r"(?:ok|changed|skipping|failed|fatal|unreachable|rescued|ignored): \[([^\]\s]+)(?: -> [^\]]*)?\]"
)
_RECAP: Final = re.compile(r"(\S+)\s+: ok=\d+\s+changed=\d+\s+unreachable=\d+\s+failed=\d+")
_RECAP_FAILED: Final = re.compile(r"(\S+)\s+: ok=\d+\s+changed=\d+\s+unreachable=(\d+)\s+failed=(\d+)")
_BANNER: Final = re.compile(r"(?:PLAY RECAP|(?:PLAY|TASK|RUNNING HANDLER) \[.*\](?: \[CHECK MODE\])?) \*+$")
_PLAY: Final = re.compile(r"PLAY \[")
_CHECKED: Final = "[CHECK MODE]"
_REALLY_RAN: Final = re.compile(r'changed: \[[^\]]+\] => .*"delta": "\d')
_APPLIED: Final = re.compile(r"(Apply complete!|\S+: (?:Creating|Modifying|Destroying)\.\.\.)")
_DESTROYED: Final = re.compile(r"Destroy complete!")
PLANNED: Final = re.compile(r"(Plan: \d+ to (?:add|import)|No changes\.)")  # imports come first, since Terraform 1.5
_RANGE: Final = re.compile(r"\[(\d+):(\d+)\]|\[([a-z]):([a-z])\]")
_PATTERN: Final = frozenset("!&~:[")  # `web[0]` is the first host of web
_BLANK: Final = re.compile(r"\s")  # between hosts where there is no comma, part of a name where there is one
_SECTION: Final = re.compile(r"\[([^:\]\s]+)(?::(\w+))?\]")
_NAME: Final = re.compile(r"([^\s:=,{}\[\]]+)(?::\d+)?")  # with a port, maybe
MOST_HOSTS: Final = 10_000
DRY_RUN: Final = "dry run"


class Expected(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was asked for, as far as an output could show it. `hosts` is the limit resolved; None: it could not be."""

    family: str = ""
    limit: tuple[str, ...] = ()
    hosts: tuple[str, ...] | None = None
    check: bool = False
    marked: bool = False  # the job is known to mark its lines in check mode (ANSIBLE_CHECK_MODE_MARKERS)
    destroy: bool = False
    branch: str = ""
    tags: tuple[str, ...] = ()
    skip_tags: tuple[str, ...] = ()

    @property
    def anything(self) -> bool:
        """Whether there is something of which the room must hear what the output says."""
        return bool(
            self.check or self.branch or self.tags or self.skip_tags or (self.limit and self.family == "ansible")
        )

    @property
    def plan_only(self) -> bool:
        """Whether Terraform was asked to end after its plan."""
        return self.check and self.family == "terraform"


@dataclass(frozen=True, slots=True)
class Verdict:
    """`against` names the first contradiction; `shown` and `silent` are the points that were seen and that were not."""

    against: str = ""
    shown: tuple[str, ...] = ()
    silent: tuple[str, ...] = ()


@dataclass
class _Seen:
    """What the lines hold, gathered in one pass."""

    hosts: dict[str, str] = field(default_factory=dict)  # host -> the first line that names it
    complete: bool = False  # a further banner came after the first hosts: that step has been heard of everywhere
    marked: bool = False
    unmarked: str = ""
    really: str = ""
    applied: str = ""
    destroyed: str = ""
    planned: bool = False


def judge(expected: Expected, records: Iterable[str]) -> Verdict:
    """What the output so far says about what was asked."""
    seen = _gathered(records)
    against = _against(expected, seen)
    if against:
        return Verdict(against=against)
    points = list(_points(expected, seen))
    return Verdict(
        shown=tuple(point for point, there in points if there),
        silent=tuple(point for point, there in points if not there),
    )


def may_turn(expected: Expected, verdict: Verdict) -> bool:
    """Whether a later line could still contradict: a further play can leave the limit, and a plan that is shown be applied."""
    if verdict.against:
        return False
    if expected.family == "ansible":
        return expected.hosts is not None or (expected.check and DRY_RUN not in verdict.shown)
    return expected.plan_only


def hosts_of(limit: Sequence[str], inventory: str) -> tuple[str, ...] | None:
    """The hosts that a limit stands for, by an inventory in INI form; None when that cannot be told from here."""
    groups = _groups(inventory)
    patterns = [part.strip() for each in limit for part in each.split(",")]
    if groups is None or any(set(each) & _PATTERN or _BLANK.search(each) or each[:1] in ("", "@") for each in patterns):
        return None
    found: set[str] = set()
    for each in patterns:
        fitting = {host for host in groups["all"] if fnmatch.fnmatchcase(host, each)}
        fitting |= {host for name, hosts in groups.items() if fnmatch.fnmatchcase(name, each) for host in hosts}
        found |= fitting or {each}
    return tuple(sorted(found))


def failed_hosts(records: Iterable[str]) -> tuple[str, ...]:
    """The hosts of an ansible output that failed or could not be reached, by its recap."""
    rows = (plain_line(row).strip() for record in records for row in record.split("\n"))
    found = (_RECAP_FAILED.match(row) for row in rows)
    return tuple(dict.fromkeys(each[1] for each in found if each and (int(each[2]) or int(each[3]))))


def changed_hosts(records: Iterable[str]) -> tuple[str, ...]:
    """The hosts on which an ansible output shows a change."""
    rows = (plain_line(row).strip() for record in records for row in record.split("\n"))
    return tuple(
        dict.fromkeys(found[1] for row in rows if row.startswith("changed: ") and (found := _HOST_LINE.match(row)))
    )


def _gathered(records: Iterable[str]) -> _Seen:
    seen = _Seen()
    for record in records:
        for row in record.split("\n"):
            _look(seen, plain_line(row).rstrip())  # what is indented is part of some value
    return seen


def _look(seen: _Seen, row: str) -> None:
    if (found := _HOST_LINE.match(row) or _RECAP.match(row)) and len(seen.hosts) < MOST_HOSTS:
        seen.hosts.setdefault(found[1], row)
    if _BANNER.match(row):
        seen.marked = seen.marked or _CHECKED in row
        seen.complete = seen.complete or bool(seen.hosts)
        if _PLAY.match(row):
            seen.unmarked = seen.unmarked or ("" if _CHECKED in row else row)
    seen.really = seen.really or (row if _REALLY_RAN.match(row) else "")
    seen.applied = seen.applied or (row if _APPLIED.match(row) else "")
    seen.destroyed = seen.destroyed or (row if _DESTROYED.match(row) else "")
    seen.planned = seen.planned or bool(PLANNED.match(row))


def _against(expected: Expected, seen: _Seen) -> str:
    if expected.family == "ansible":
        if expected.hosts is not None:
            strangers = [host for host in seen.hosts if host not in expected.hosts]
            if strangers:
                return f"it works on {strangers[0]}, which is not in the limit ({', '.join(expected.limit)}): {seen.hosts[strangers[0]]}"
        if expected.check and seen.really and not seen.marked:
            return f"a command was really run, although this was to be a dry run: {seen.really}"
        if expected.check and expected.marked and seen.unmarked:
            return f"the play is not marked as a dry run: {seen.unmarked}"
    if expected.family == "terraform":
        if expected.check and seen.applied:
            return f"it applies, although only a plan was asked for: {seen.applied}"
        if seen.destroyed and not expected.destroy:
            return f"it destroyed, which nobody asked for: {seen.destroyed}"
    return ""


def _points(expected: Expected, seen: _Seen) -> Iterable[tuple[str, bool]]:
    """Each thing that was asked, and whether the lines show it."""
    if expected.limit and expected.family == "ansible":
        names = ", ".join(expected.limit)
        yield f"limit {names}", expected.hosts is not None and seen.complete
    if expected.check:
        yield DRY_RUN, seen.marked if expected.family == "ansible" else seen.planned and not seen.applied
    for name, never_shown in (("tags", expected.tags), ("skip-tags", expected.skip_tags)):
        if never_shown:
            yield f"{name} {', '.join(never_shown)}", False
    if expected.branch:
        yield f"branch {expected.branch}", False


def _groups(text: str) -> Mapping[str, set[str]] | None:
    """Groups and their hosts; None for what is no INI inventory (a file, a script, YAML)."""
    groups: dict[str, set[str]] = {"all": set(), "ungrouped": set()}
    children: dict[str, list[str]] = {}
    section, kind = "ungrouped", ""
    for raw in text.splitlines():
        row = raw.partition("#")[0].partition(";")[0].strip()
        if not row:
            continue
        header = _SECTION.fullmatch(row)
        if header is not None:
            section, kind = header[1], header[2] or ""
            groups.setdefault(section, set())
        elif row.endswith(":") or row.startswith(("---", "-", "{")):
            return None
        elif kind == "children":
            children.setdefault(section, []).append(row)
        elif not kind:
            names = _named(row.split()[0])
            if names is None:
                return None
            groups[section].update(names)
            groups["all"].update(names)
    for _ in range(len(children)):  # as often as groups can be nested
        for name, inner in children.items():
            groups[name].update(*(groups.get(each, set()) for each in inner))
    return groups if groups["all"] else None


def _named(entry: str) -> list[str] | None:
    """The hosts of one entry, `web[01:03]:2222`, without the port; None for what is not understood."""
    names = [entry]
    while found := _RANGE.search(names[0]):
        parts = _parts(found)
        if not 0 < len(names) * len(parts) <= MOST_HOSTS:
            return None
        names = [
            name[: at.start()] + part + name[at.end() :]
            for name in names
            if (at := _RANGE.search(name))
            for part in parts
        ]
    hosts = [_NAME.fullmatch(name) for name in names]
    return [host[1] for host in hosts if host is not None] if all(hosts) else None


def _parts(found: re.Match[str]) -> list[str]:
    """`[01:03]` is 01, 02, 03."""
    if found[1] is None:
        return [chr(n) for n in range(ord(found[3]), ord(found[4]) + 1)]
    first, last = int(found[1]), int(found[2])
    return [str(n).zfill(len(found[1])) for n in range(first, min(last, first + MOST_HOSTS) + 1)]
