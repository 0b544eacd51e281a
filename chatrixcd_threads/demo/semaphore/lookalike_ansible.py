"""A look-alike of ansible-playbook for machines without Ansible. It says so in its first line.

It reads just enough of a playbook and an inventory to act them out: host groups, `when` on the host name, tags,
`--limit`, `--check`, and it really runs `command` and `shell` tasks on hosts with a local connection. Facts about the
form of the output: API.md section 9 (exit codes 1, 2 and 4) and the recordings of real runs.
"""

import json
import os
import re
import shlex
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

GREEN, YELLOW, RED, CYAN, PURPLE = "0;32", "0;33", "0;31", "0;36", "1;35"
WIDTH = 79
_TRUE = ("1", "true", "yes", "on", "y", "t")  # as Ansible reads a boolean
LOCAL_TASK_SECONDS = 120


@dataclass
class Options:
    """The command line, as far as it is known."""

    inventory: str = ""
    playbook: str = ""
    limit: str = ""
    tags: list[str] = field(default_factory=list)
    skip_tags: list[str] = field(default_factory=list)
    variables: dict[str, object] = field(default_factory=dict)
    check: bool = False
    verbose: bool = False
    marks: bool = False  # ANSIBLE_CHECK_MODE_MARKERS: banners of a dry run say so

    @property
    def mark(self) -> str:
        """What follows the name in a banner."""
        return " [CHECK MODE]" if self.check and self.marks else ""


@dataclass
class Step:
    """One task of a play."""

    name: str
    module: str = ""
    text: str = ""
    when: str = ""
    tags: list[str] = field(default_factory=list)


@dataclass
class Play:
    """One play."""

    name: str = ""
    hosts: str = "all"
    steps: list[Step] = field(default_factory=list)


@dataclass
class Count:
    """A line of the recap."""

    ok: int = 0
    changed: int = 0
    unreachable: int = 0
    failed: int = 0
    skipped: int = 0


def _say(text: str, color: str = "") -> None:
    print(f"\033[{color}m{text}\033[0m" if color else text, flush=True)


def _banner(text: str) -> None:
    _say("")
    _say(f"{text} ".ljust(WIDTH, "*"))


def parse_options(argv: list[str]) -> Options:
    """Read the command line; unknown options are let pass."""
    found = Options(marks=os.environ.get("ANSIBLE_CHECK_MODE_MARKERS", "").lower() in _TRUE)
    words = list(argv)
    with_value = {"-i", "--extra-vars", "--forks", "-e", "--limit", "--tags", "--skip-tags", "--vault-id"}
    while words:
        word = words.pop(0)
        key, _, value = word.partition("=") if word.startswith("--") else (word, "", "")
        if key in with_value and not value and words:
            value = words.pop(0)
        _apply(found, key, value)
    return found


def _apply(found: Options, key: str, value: str) -> None:
    if key == "-i":
        found.inventory = value
    elif key == "--limit":
        found.limit = value
    elif key == "--tags":
        found.tags += value.split(",")
    elif key == "--skip-tags":
        found.skip_tags += value.split(",")
    elif key in ("--extra-vars", "-e"):
        found.variables.update(json.loads(value) if value.startswith("{") else {})
    elif key in ("--check", "-C"):
        found.check = True
    elif re.fullmatch("-v+", key):
        found.verbose = True
    elif not key.startswith("-"):
        found.playbook = key


def parse_inventory(text: str) -> tuple[dict[str, list[str]], dict[str, dict[str, str]]]:
    """Groups and the variables of the hosts, from the INI form."""
    groups: dict[str, list[str]] = {"all": []}
    hosts: dict[str, dict[str, str]] = {}
    shared: dict[str, str] = {}
    section = "all"
    for line in (raw.strip() for raw in text.splitlines()):
        if not line or line.startswith(("#", ";")):
            continue
        if line.startswith("["):
            section = line.strip("[]")
            groups.setdefault(section, [])
        elif section.endswith(":vars"):
            shared.update([_pair(line)])
        else:
            name, *pairs = line.split()
            hosts.setdefault(name, {}).update(_pair(pair) for pair in pairs)
            groups[section].append(name)
    groups["all"] = sorted(hosts)
    return groups, {name: {**shared, **own} for name, own in hosts.items()}


def _pair(text: str) -> tuple[str, str]:
    key, _, value = text.partition("=")
    return key.strip(), value.strip()


_PLAY_KEYS = re.compile(r"^(- |  )(name|hosts|gather_facts|become|tasks|any_errors_fatal):\s*(.*)$")
_STEP = re.compile(r"^    - name:\s*(.*)$")
_STEP_KEY = re.compile(r"^      ([\w.]+):\s*(.*)$")
_OTHER_KEYS = ("when", "tags", "diff", "changed_when", "register", "ignore_errors", "loop")


def parse_playbook(text: str) -> list[Play]:
    """The plays of a playbook in the usual indentation."""
    plays: list[Play] = []
    for line in text.splitlines():
        if found := _STEP.match(line):
            plays[-1].steps.append(Step(found[1].strip("\"'")))
        elif found := _STEP_KEY.match(line):
            if plays and plays[-1].steps:
                _step_key(plays[-1].steps[-1], found[1], found[2])
        elif found := _PLAY_KEYS.match(line):
            if found[1] == "- ":
                plays.append(Play())
            if found[2] in ("name", "hosts"):
                setattr(plays[-1], found[2], found[3].strip("\"'"))
        elif (found := re.match(r"^        (msg|cmd|var):\s*(.*)$", line)) and plays and plays[-1].steps:
            plays[-1].steps[-1].text = found[2].strip("\"'")
    return plays


def _step_key(step: Step, key: str, value: str) -> None:
    if key == "when":
        step.when = value
    elif key == "tags":
        step.tags = value.strip("[]").replace(" ", "").split(",")
    elif key not in _OTHER_KEYS:
        step.module = key.rpartition(".")[2]
        step.text = value.strip("\"'")


def choose(pattern: str, groups: dict[str, list[str]]) -> list[str]:
    """The hosts of a pattern: names and groups, separated by commas or colons."""
    found: list[str] = []
    for part in re.split(r"[,:]", pattern):
        found += groups.get(part, [part] if part in groups["all"] else [])
    return sorted(set(found))


def _applies(step: Step, host: str, groups: dict[str, list[str]]) -> bool:
    if not step.when:
        return True
    if found := re.match(r"inventory_hostname == '(\w+)'", step.when):
        return host == found[1]
    if found := re.match(r"inventory_hostname in groups\['(\w+)'\]", step.when):
        return host in groups.get(found[1], [])
    return True


class Runner:
    """Acts a playbook out."""

    def __init__(self, options: Options) -> None:
        self.options = options
        path = Path(options.inventory)
        text = path.read_text(encoding="utf-8") if path.is_file() else options.inventory
        self.groups, self.hosts = parse_inventory(text)
        self.counts: dict[str, Count] = {}

    def run(self) -> int:
        """Run all plays and say how it ended."""
        chosen = choose(self.options.limit, self.groups) if self.options.limit else self.groups["all"]
        if not chosen:
            _say(f"[WARNING]: Could not match supplied host pattern, ignoring: {self.options.limit}", PURPLE)
            _say("[ERROR]: Specified inventory, host pattern and/or --limit leaves us with no hosts to target.", RED)
            return 1
        book = Path(self.options.playbook)
        if not book.is_file():
            _say(f"[ERROR]: the playbook: {self.options.playbook} could not be found", RED)
            return 1
        if self.options.mark:
            _banner("DRY RUN")
        for play in parse_playbook(book.read_text(encoding="utf-8")):
            self._play(play, [h for h in choose(play.hosts, self.groups) if h in chosen])
        self._recap()
        if self.options.mark:
            _banner("DRY RUN")
        worst = self.counts.values()
        return 4 if any(c.unreachable for c in worst) else 2 if any(c.failed for c in worst) else 0

    def _play(self, play: Play, hosts: list[str]) -> None:
        _banner(f"PLAY [{play.name or play.hosts}]{self.options.mark}")
        if not hosts:
            _say("skipping: no hosts matched", CYAN)
        for host in hosts:
            self.counts.setdefault(host, Count())
        alive = list(hosts)
        for step in play.steps:
            if self._tagged(step) and alive:
                _banner(f"TASK [{step.name}]{self.options.mark}")
                alive = [host for host in alive if self._step(step, host)]

    def _tagged(self, step: Step) -> bool:
        wanted, refused = self.options.tags, self.options.skip_tags
        return (not wanted or bool(set(wanted) & set(step.tags))) and not set(refused) & set(step.tags)

    def _step(self, step: Step, host: str) -> bool:
        """Run one task on one host; False takes the host out of the play."""
        count = self.counts[host]
        if not _applies(step, host, self.groups):
            count.skipped += 1
            _say(f"skipping: [{host}]", CYAN)
            return True
        own = self.hosts[host]
        if "ansible_port" in own and own.get("ansible_connection") != "local":
            count.unreachable += 1
            _say(f'fatal: [{host}]: UNREACHABLE! => {{"changed": false, "msg": "Connection refused"}}', RED)
            return False
        if step.module in ("command", "shell"):
            return self._command(step, host, count)
        count.ok += 1
        if step.module == "debug":
            _say(f"ok: [{host}] => {{", GREEN)
            _say(f'    "msg": {json.dumps(self._fill(step.text, host))}', GREEN)
            _say("}", GREEN)
        else:
            _say(f"ok: [{host}]", GREEN)
        return True

    def _fill(self, text: str, host: str) -> str:
        def value(found: re.Match[str]) -> str:
            if found[1] == "inventory_hostname":
                return host
            known = self.options.variables.get(found[1])
            return str(known) if known is not None else found[3] or ""

        return re.sub(r"\{\{ *(\w+)( *\| *default\('([^']*)'\))?[^}]*\}\}", value, text)

    def _command(self, step: Step, host: str, count: Count) -> bool:
        if self.options.check:
            count.skipped += 1
            _say(f"skipping: [{host}]", CYAN)
            return True
        text = self._fill(step.text, host)
        argv = ["bash", "-c", text] if step.module == "shell" else shlex.split(text)
        begun = time.monotonic()
        try:
            done = subprocess.run(argv, capture_output=True, text=True, timeout=LOCAL_TASK_SECONDS, check=False)
            code, message = done.returncode, done.stderr.strip()
        except OSError as error:
            code, message = 127, str(error)
        if code:
            count.failed += 1
            reason = {"changed": True, "cmd": argv, "msg": "non-zero return code", "rc": code, "stderr": message}
            _say(f"fatal: [{host}]: FAILED! => {json.dumps(reason)}", RED)
            return False
        count.ok += 1
        count.changed += 1
        took = {"changed": True, "cmd": argv, "delta": f"0:00:{time.monotonic() - begun:09.6f}", "rc": code}
        _say(f"changed: [{host}]" + (f" => {json.dumps(took)}" if self.options.verbose else ""), YELLOW)
        return True

    def _recap(self) -> None:
        _banner("PLAY RECAP")
        for host, c in sorted(self.counts.items()):
            numbers = f"ok={c.ok:<4} changed={c.changed:<4} unreachable={c.unreachable:<4} failed={c.failed:<4}"
            _say(f"{host:<26} : {numbers} skipped={c.skipped:<4} rescued=0    ignored=0   ")
        _say("")


def main() -> int:
    """Say what this is, then act."""
    argv = sys.argv[1:]
    shown = ["{...}" if word.startswith("{") else word for word in argv]
    _say(f"[look-alike: Ansible is not installed here] ansible-playbook {shlex.join(shown)}", PURPLE)
    return Runner(parse_options(argv)).run()


if __name__ == "__main__":
    sys.exit(main())
