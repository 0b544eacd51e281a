"""What a task runs: checkout, then the app's processes (API.md sections 5.4, 5.6, 7, 8, 9)."""

import asyncio
import json
import os
import random
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chatrixcd_threads.demo.semaphore import lookalike_ansible, options
from chatrixcd_threads.demo.semaphore.process import Command, Groups, Process, Room, failure_text
from chatrixcd_threads.demo.semaphore.profile import Profile
from chatrixcd_threads.demo.semaphore.store import Row, Store

SHIM = Path(__file__).parent.parent / "repo" / "shims" / "terraform.sh"
_SHELLS: dict[str, tuple[str, ...]] = {
    "bash": ("bash",),
    "python": (sys.executable,),
    "powershell": ("powershell", "-File"),
}
_GIT_ENV = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1", "GIT_TERMINAL_PROMPT": "0"}
_GALAXY = ("collections", "roles")


class JobFailedError(Exception):
    """The job ended badly; the text goes into the last line of the log."""


class JobKilledError(JobFailedError):
    """The same after a kill."""


@dataclass(eq=False)
class Live:
    """A task in the server's memory: queued or running."""

    task: Row
    template: Row
    audience: frozenset[int]
    username: str = ""
    process: Process | None = None
    killed: bool = False
    started: asyncio.Task[None] | None = None
    requeued: bool = False
    secret: Row = field(default_factory=dict)


@dataclass
class Workspace:
    """Where jobs run: copies of the repository folders, and what is added to PATH."""

    root: Path
    folders: Mapping[str, str]
    path: Sequence[str]

    def search_path(self) -> str:
        """PATH of the jobs."""
        return os.pathsep.join([*self.path, os.environ.get("PATH", os.defpath)])

    def find(self, name: str) -> str | None:
        """The program of that name."""
        return shutil.which(name, path=self.search_path())

    def copy(self, repository: Row) -> Path | None:
        """The copy of a local repository folder; None when it is a git repository or unknown."""
        source = self.folders.get(repository["git_url"], repository["git_url"])
        if source.startswith(("file:", "http", "git")) or not Path(source).is_dir():
            return None
        target = self.root / f"repository_{repository['project_id']}_{repository['id']}"
        if not target.exists():
            shutil.copytree(source, target)
        return target


class JobRunner:
    """Runs the jobs of one server."""

    def __init__(
        self,
        store: Store,
        workspace: Workspace,
        groups: Groups,
        log: Callable[[Live, bytes], None],
        room: Room,
        set_status: Callable[[Live, str], None],
    ) -> None:
        self.store = store
        self.profile: Profile = store.profile
        self.workspace = workspace
        self.groups = groups
        self._log, self._room = log, room
        self._set = set_status
        self._rng: random.Random = store.profile.rng()

    def say(self, live: Live, text: str) -> None:
        """A line of the server's own."""
        self._log(live, text.encode())

    async def run(self, live: Live) -> None:
        """The whole job. Raises JobFailedError."""
        self.say(live, f"Preparing: {live.task['id']}")
        folder = await self._checkout(live)
        try:
            used = options.used(self.profile, self.store.mischief.got(live.task), live.template)
        except options.BadOptionsError as error:
            raise JobFailedError(str(error)) from error
        app = live.template["app"] or "ansible"
        if app == "ansible":
            await self._ansible(live, folder, used)
        elif app in options.TERRAFORM_APPS:
            await self._terraform(live, folder, used)
        else:
            await self._shell(live, folder, used, _SHELLS.get(app, (app,)))

    # --- processes

    async def execute(self, live: Live, argv: Sequence[str], folder: Path, env: dict[str, str] | None = None) -> None:
        """Run one process to its end. Raises JobFailedError."""
        await asyncio.sleep(self.profile.spawn_seconds)
        if live.killed and self.profile.kill_before_spawn:
            raise JobKilledError("signal: killed")
        emit = _Emitter(lambda raw: self._log(live, raw), self._loses(live))
        command = Command(tuple(argv), folder, self._env(live) if env is None else env)
        try:
            live.process = Process(command, self.groups, emit, self._room)
        except OSError as error:
            raise JobFailedError(str(error)) from error
        code = await live.process.wait()
        live.process = None
        emit.cut()
        if code:
            kind = JobKilledError if live.killed else JobFailedError
            raise kind(failure_text(code))

    def _loses(self, live: Live) -> float:
        """How many seconds before its end the lines of this process are lost."""
        shell = live.template["app"] not in ("ansible", "")
        chance = shell and self._rng.random() < self.profile.lose_last_lines
        return max(self.store.mischief.loses_seconds, self.profile.lose_seconds if chance else 0.0)

    def _env(self, live: Live) -> dict[str, str]:
        env = {"PATH": self.workspace.search_path(), "HOME": str(self.workspace.root), "LANG": "C.UTF-8"}
        for group in self.store.groups(live.template):
            env.update({str(k): str(v) for k, v in json.loads(group.get("env") or "{}").items()})
            env.update({s["name"]: s["secret"] for s in group.get("secrets") or [] if s["type"] == "env"})
        return {**env, **self._versions(live)}

    def _versions(self, live: Live) -> dict[str, str]:
        kind = live.template.get("type", "")
        if kind not in ("build", "deploy"):
            return {}
        target = live.task.get("version") or "" if kind == "build" else ""
        return {
            "SEMAPHORE_TASK_TYPE": kind,
            "SEMAPHORE_TASK_TARGET_VERSION": target,
            "SEMAPHORE_TASK_INCOMING_VERSION": self.incoming(live.task),
        }

    def incoming(self, task: Row) -> str:
        """The version a deploy task carries, followed through deploys of deploys."""
        seen = 0
        current: Row | None = task
        while current and current.get("build_task_id") is not None and seen < 100:
            current = self.store.task(task["project_id"], current["build_task_id"])
            seen += 1
        return str((current or {}).get("version") or "") if seen else ""

    def _variables(self, live: Live) -> Row:
        return options.variables(self.profile, live.task, self.store.groups(live.template))

    # --- checkout

    async def _checkout(self, live: Live) -> Path:
        repository = self.store.get("repositories", live.task["project_id"], live.template["repository_id"])
        if repository is None:
            raise JobFailedError("repository not found")
        folder = self.workspace.copy(repository)
        return folder if folder is not None else await self._git(live, repository)

    async def _git(self, live: Live, repository: Row) -> Path:
        name = f"repository_{repository['id']}_{live.template['id']}"
        target = self.workspace.root / name
        url = self.workspace.folders.get(repository["git_url"], repository["git_url"])
        asked = options.source(self.profile, live.task, live.template)
        branch = asked["git_branch"] or live.template.get("git_branch") or repository["git_branch"]
        shutil.rmtree(target, ignore_errors=True)
        self.say(live, f"Cloning Repository {repository['git_url']}")
        env = {**os.environ, **_GIT_ENV}
        try:
            await self.execute(
                live, ["git", "clone", "--recursive", "--branch", branch, url, name], self.workspace.root, env
            )
        except JobKilledError:
            raise
        except JobFailedError as error:
            self.say(live, f"Failed updating repository: {error}")
            raise
        await self._commit(live, target, env)
        return target

    async def _commit(self, live: Live, target: Path, env: dict[str, str]) -> None:
        wanted = options.source(self.profile, live.task, live.template)["commit_hash"]
        if wanted:
            self.say(live, f"Checkout repository to {wanted}")
            try:
                await self.execute(live, ["git", "checkout", wanted], target, env)
            except JobFailedError as error:
                self.say(live, f"Failed to checkout repository to required commit: {error}")
                raise
        if self.profile.params and not wanted:
            found: list[bytes] = []
            process = Process(Command(("git", "log", "-1", "--format=%H%n%s"), target, env), self.groups, found.append)
            if await process.wait() == 0 and len(found) > 1:
                live.task["commit_hash"], live.task["commit_message"] = found[0].decode(), found[1].decode()

    # --- apps

    async def _shell(self, live: Live, folder: Path, used: options.Used, start: tuple[str, ...]) -> None:
        given = [options.as_argument(self.profile, name, value) for name, value in self._variables(live).items()]
        self._rng.shuffle(given)
        await self.execute(live, [*start, used.playbook, *given, *used.arguments], folder)

    def _details(self, live: Live) -> Row:
        task = live.task
        made: Row = {
            "id": task["id"],
            "message": task.get("message") or "",
            "url": f"http://semaphore.test:3000/project/{task['project_id']}/history?t={task['id']}",
            "username": live.username,
        }
        made = {key: value for key, value in made.items() if value}
        if live.template.get("type") in ("build", "deploy"):
            made["type"] = live.template["type"]
            made["incoming_version"] = self.incoming(task)
            made["target_version"] = task.get("version") or ""
        return {"task_details": made}

    async def _ansible(self, live: Live, folder: Path, used: options.Used) -> None:
        inventory = self._inventory(live, used)
        path = self.workspace.root / f"inventory_{live.task['id']}"
        if inventory["type"].startswith("static"):
            self.say(live, "installing static inventory")
            path.write_text(inventory["inventory"], encoding="utf-8")
        else:
            path = folder / inventory["inventory"]
        for kind in _GALAXY:
            for place in (f"{kind}/requirements.yml", "requirements.yml"):
                self.say(live, f"No {folder}/{place} file found. Skip galaxy install process.\n")
        program = self.workspace.find("ansible-playbook")
        start = [program] if program else [sys.executable, str(lookalike_ansible.__file__)]
        await self.execute(live, [*start, *self._ansible_options(live, path, used), used.playbook], folder)

    def _inventory(self, live: Live, used: options.Used) -> Row:
        project = live.task["project_id"]
        found = self.store.get("inventory", project, used.inventory_id)
        found = found or self.store.get("inventory", project, live.template.get("inventory_id"))
        if found is None:
            raise JobFailedError("inventory not found")
        return found

    def _ansible_options(self, live: Live, inventory: Path, used: options.Used) -> list[str]:
        secret = live.task.get("_secret") or ""
        try:
            extra: Row = {**self._variables(live), **(json.loads(secret) if secret else {})}
        except ValueError as error:
            raise JobFailedError(str(error)) from error
        extra["semaphore_vars"] = self._details(live)
        made = ["-i", str(inventory)]
        made += ["-" + "v" * used.verbosity] if used.verbosity else []
        made += ["--diff"] if used.diff else []
        made += ["--check"] if used.dry_run else []
        made += ["--extra-vars", json.dumps(extra)]
        template_arguments = options.arguments(live.template.get("arguments"))
        made += template_arguments
        for name, values in (("limit", used.limit), ("tags", used.tags), ("skip-tags", used.skip_tags)):
            if values:
                made.append(f"--{name}={','.join(values)}")
                if name == "limit" and not self.profile.params:
                    self.say(live, made[-1])
        return made + list(used.arguments[len(template_arguments) :])

    async def _terraform(self, live: Live, folder: Path, used: options.Used) -> None:
        program = self.workspace.find(live.template["app"])
        start = [program] if program else ["bash", str(SHIM)]
        folder = folder / used.playbook
        if not folder.is_dir():
            raise JobFailedError(f"chdir {folder}: no such file or directory")
        lock = ["-lock=false"] if self.profile.params else []
        init = [*start, "init", *lock, *(["-upgrade"] if used.upgrade else [])]
        if self.profile.params:
            init.append("-reconfigure" if used.reconfigure else "-migrate-state")
        await self.execute(live, init, folder)
        if self.profile.init_pause:
            await asyncio.sleep(self.profile.poll)
        inventory = self.store.get("inventory", live.task["project_id"], used.inventory_id)
        workspace = (inventory or {}).get("inventory") or "default"
        await self.execute(live, [*start, "workspace", "select", "-or-create=true", workspace], folder)
        tail = [*lock, *(["-destroy"] if used.destroy else []), *self._vars(live), *used.arguments]
        before = len(self.store.output[live.task["id"]])
        await self.execute(live, [*start, "plan", *tail], folder)
        records = self.store.output[live.task["id"]][before:]
        unchanged = any("No changes." in record.text for record in records)
        if used.plan or (unchanged and not used.auto_approve):
            return
        if used.auto_approve or await self._answered(live):
            await self.execute(live, [*start, "apply", "-auto-approve", *tail], folder)

    def _vars(self, live: Live) -> list[str]:
        made: list[str] = []
        for name, value in self._variables(live).items():
            made += ["-var", options.as_argument(self.profile, name, value)]
        return made

    async def _answered(self, live: Live) -> bool:
        """Ask, then look every few seconds for the answer. False: nothing is applied."""
        self._set(live, "waiting_confirmation")
        while True:
            await asyncio.sleep(self.profile.poll)
            status: Any = live.task["status"]
            if status == "confirmed":
                self._set(live, "running")
                return True
            if status == "rejected":
                self._set(live, "error")
                return False
            if status == "stopping" and self.profile.stop_ends_asking:
                self._set(live, "stopped")
            if live.task["status"] == "stopped":
                return False


class _Emitter:
    """Passes lines on; of a run that shall lose its end, each line waits so many seconds and may be cut off."""

    def __init__(self, sink: Callable[[bytes], None], delay: float) -> None:
        self._sink = sink
        self._delay = delay
        self._waiting: list[asyncio.TimerHandle] = []

    def __call__(self, raw: bytes) -> None:
        if not self._delay:
            self._sink(raw)
            return
        self._waiting.append(asyncio.get_running_loop().call_later(self._delay, self._sink, raw))

    def cut(self) -> None:
        """The process ended: what is still waiting is lost."""
        for handle in self._waiting:
            handle.cancel()
