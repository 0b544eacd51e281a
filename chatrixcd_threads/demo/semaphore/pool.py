"""The task pool: queue, statuses, stop, confirm, reject (API.md sections 5.3 to 5.6, 8; NEWER.md section 4)."""

import asyncio
import contextlib
import re

from chatrixcd_threads.demo.semaphore import clock, options
from chatrixcd_threads.demo.semaphore.jobs import JobFailedError, JobKilledError, JobRunner, Live, Workspace
from chatrixcd_threads.demo.semaphore.output import Writer
from chatrixcd_threads.demo.semaphore.process import Groups
from chatrixcd_threads.demo.semaphore.shape import Shaper
from chatrixcd_threads.demo.semaphore.store import Record, Row, Store, group_ids
from chatrixcd_threads.demo.semaphore.ws import Hub

FINAL = ("success", "error", "stopped")
_FORBIDDEN = {
    "confirmed": ("waiting_confirmation",),
    "running": ("waiting",),
    "stopping": ("waiting", "running"),
}


class PostFailedError(Exception):
    """A POST of a task that leaves nothing, or an `error` row, behind."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


def may_change(old: str, new: str) -> bool:
    """Does the status setter let this change through? `stopped` is absolute, the other final ones are not."""
    return old not in (new, "stopped") and new not in _FORBIDDEN.get(old, ())


def next_version(start: str, last: str | None) -> str:
    """The version of the next build (API.md section 8)."""
    parts = re.match(r"^(.*?)(\d+)(\D*)$", start, re.DOTALL)
    if not last or parts is None:
        return start
    prefix, number, suffix = parts[1], int(parts[2]), parts[3]
    same = re.match(rf"^{re.escape(prefix)}(\d+){re.escape(suffix)}$", last)
    return f"{prefix}{max(number, int(same[1]) + 1)}{suffix}" if same else start


class Pool:
    """Everything the server keeps in memory about its tasks."""

    def __init__(self, store: Store, hub: Hub, shaper: Shaper, workspace: Workspace) -> None:
        self.store = store
        self.profile = store.profile
        self.hub = hub
        self.shaper = shaper
        self.groups = Groups()
        self.writer = Writer(store, hub.send, shaper.frame_stamp)
        self.jobs = JobRunner(store, workspace, self.groups, self._line, self.writer.room, self.set_status)
        self.queue: list[Live] = []
        self.running: list[Live] = []
        self.hung = False
        self._ticker: asyncio.Task[None] | None = None
        self._waking = False

    # --- life

    def start(self) -> None:
        """Begin to work the queue."""
        self._ticker = asyncio.get_running_loop().create_task(self._tick())

    async def stop(self) -> None:
        """End every job and process."""
        tasks = [live.started for live in self.running if live.started is not None]
        tasks += [self._ticker] if self._ticker is not None else []
        self.forget()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self.writer.stop()
        self.groups.kill_all()

    def forget(self) -> None:
        """What the death of the server does: memory gone, pipes closed, rows as they were."""
        for live in self.running:
            if live.started is not None:
                live.started.cancel()
        self.queue.clear()
        self.running.clear()
        self.writer.forget()
        self.hung = False

    def find(self, task_id: int) -> Live | None:
        """The task in memory."""
        return next((live for live in [*self.queue, *self.running] if live.task["id"] == task_id), None)

    # --- logs, frames, events

    def _line(self, live: Live, raw: bytes) -> None:
        self.writer.line(live.task, live.audience, raw)

    def log(self, live: Live, text: str) -> None:
        """A line of the server in the task's log."""
        self._line(live, text.encode())

    def frame(self, task: Row, audience: frozenset[int]) -> None:
        """An `update` message."""
        stamp = self.shaper.frame_stamp
        message = {
            "type": "update",
            "project_id": task["project_id"],
            "task_id": task["id"],
            "template_id": task["template_id"],
            "status": task["status"],
            "start": stamp(task["start"]),
            "end": stamp(task["end"]),
            "version": task.get("version"),
        }
        self.hub.send(audience, message)

    def event(self, task: Row, name: str) -> None:
        """An event about a task, in the words of the version."""
        number, status = task["id"], task["status"]
        if self.profile.params:
            tail = f"finished with status {status.upper()}" if status in FINAL else status.upper()
            text = f"Task ID {number} ({name}) {tail}"
        elif status in FINAL:
            text = f"Task ID {number} ({name}) finished - {status.upper()}"
        elif status == "waiting":
            text = f"Task ID {number} queued for running"
        else:
            text = f"Task ID {number} ({name}) is running"
        self.store.event(task["project_id"], task.get("user_id"), "task", number, text)

    def set_status(self, live: Live, status: str) -> None:
        """Change the status as far as the rules allow, and tell everybody."""
        task = live.task
        if not may_change(task["status"], status):
            return
        task["status"] = status
        if status == "running":
            task["start"] = clock.now()
        self.frame(task, live.audience)

    # --- queueing

    def add(self, row: Row, user: Row | None) -> Live:
        """Check a task, store its row, queue it. Raises PostFailedError."""
        project = row["project_id"]
        template = self.store.get("templates", project, row["template_id"])
        if template is None:
            raise PostFailedError(self.profile.unknown_template)
        if self.profile.params and not options.params_fit(template["app"], row.get("params") or {}):
            raise PostFailedError(500)
        full = self._row(row, template, user)
        if self._unknown_ids(full):
            self.store.next_task_id()
            raise PostFailedError(500)
        full["id"] = self.store.next_task_id()
        self.store.tasks.append(full)
        self._check_environment(full, template)
        live = Live(full, template, self.store.audience(project), user["username"] if user else "")
        self.queue.append(live)
        self.log(live, f"Task {full['id']} added to queue")
        self.frame(full, live.audience)
        self.event(full, template["name"])
        self.wake()
        return live

    def _row(self, row: Row, template: Row, user: Row | None) -> Row:
        secret = row.pop("secret", "")
        full: Row = {"start": None, "end": None, **row, "_secret": secret, "status": "waiting", "created": clock.now()}
        full["user_id"] = user["id"] if user else None
        if self.profile.params:
            for key in ("debug", "dry_run", "diff"):
                full.pop(key, None)
            asked = full.get("limit", "")
            options.take_limit(full)
            full["limit"] = asked
            if "params" in full:
                full["params"] = self.store.mischief.stored(full["params"])
        if template.get("type") == "build":
            latest = self.store.tasks_of(template["project_id"], template["id"])
            last = latest[0].get("version") if latest else None
            full["version"] = next_version(template.get("start_version") or "", last)
        return full

    def _unknown_ids(self, row: Row) -> bool:
        if not self.profile.foreign_keys:
            return False
        project = row["project_id"]
        inventory, build = row.get("inventory_id"), row.get("build_task_id")
        missing = inventory is not None and self.store.get("inventory", project, inventory) is None
        return missing or (build is not None and self.store.task(project, build) is None)

    def _check_environment(self, task: Row, template: Row) -> None:
        """A bad `environment` leaves a row `error` that never ends (API.md section 6.1)."""
        text = task.get("environment") or ""
        if not text:
            return
        problem = options.environment_error(text)
        if problem is None and not group_ids(template) and not self.profile.free_variables:
            problem = "Error: environment not found"
        if problem is not None:
            task["status"] = "error"
            self.store.output[task["id"]].append(Record(clock.now(), problem))
            raise PostFailedError(500)

    def hang(self) -> None:
        """2.10, when a task is queued while the buffer is full: nothing starts, prints or ends any more."""
        self.hung = True
        self.writer.freeze()

    @property
    def stuck(self) -> bool:
        """Does the queue stand still?"""
        return self.hung or self.store.mischief.hangs

    # --- the queue

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(self.profile.tick)
            if not self.stuck:
                self._start_one() if self.profile.ticked_queue else self._start_all()

    def wake(self) -> None:
        """Something changed: the newer versions work the queue now."""
        if self.profile.ticked_queue or self._waking:
            return
        self._waking = True
        asyncio.get_running_loop().call_soon(self._woken)

    def _woken(self) -> None:
        self._waking = False
        if not self.stuck:
            self._start_all()

    def _start_one(self) -> None:
        if not self.queue:
            return
        head = self.queue.pop(0)
        if self._blocked(head):
            self.queue.append(head)
            return
        self._start(head)

    def _start_all(self) -> None:
        for live in list(self.queue):
            if not self._blocked(live):
                self.queue.remove(live)
                self._start(live)

    def _blocked(self, live: Live) -> bool:
        project = live.task["project_id"]
        if len(self.running) >= self.profile.max_parallel:
            return True
        limit = (self.store.project(project) or {}).get("max_parallel_tasks") or 0
        if limit and sum(1 for other in self.running if other.task["project_id"] == project) >= limit:
            return True
        alone = not (self.profile.params and live.template.get("allow_parallel_tasks"))
        return alone and any(other.template is live.template for other in self.running)

    def _start(self, live: Live) -> None:
        self.running.append(live)
        live.started = asyncio.get_running_loop().create_task(self._run(live))

    # --- running

    async def _run(self, live: Live) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            if self.store.mischief.requeues and not live.requeued:
                await self._requeue(live)
                return
            await self._work(live)
            self.running.remove(live)
            live.task["end"] = clock.now()
            self.frame(live.task, live.audience)
            self.event(live.task, live.template["name"])
            self.wake()

    async def _requeue(self, live: Live) -> None:
        """The start came to nothing: back to the queue (NEWER.md 1.16)."""
        live.requeued = True
        self.set_status(live, "starting")
        await asyncio.sleep(self.profile.starting_seconds)
        self.set_status(live, "waiting")
        self.running.remove(live)
        self.queue.append(live)
        self.wake()

    async def _work(self, live: Live) -> None:
        task = live.task
        if task["status"] == "stopping":
            self.set_status(live, "stopped")
            return
        self.set_status(live, "starting")
        self.event(task, live.template["name"])
        await asyncio.sleep(self.profile.starting_seconds)
        if not self.profile.runners:
            self.log(live, "no runners available")
            self.set_status(live, "error")
            return
        self.log(live, f"Started: {task['id']}")
        self.log(live, f"Run TaskRunner with template: {live.template['name']}\n")
        self.set_status(live, "running")
        if self.store.mischief.loses_runner:
            self.log(live, "Runner lost: no sign of life")
            self.set_status(live, "error")
            return
        try:
            await self.jobs.run(live)
            await self.writer.room()
        except JobFailedError as error:
            await self.writer.room()
            self._failed(live, error)
            return
        if live.killed and self.profile.kill_before_spawn:
            self.set_status(live, self.profile.killed_status)
        if task["status"] == "running":
            self.set_status(live, "success")
        self._autorun(live)

    def _failed(self, live: Live, error: JobFailedError) -> None:
        if isinstance(error, JobKilledError) and self.profile.kill_before_spawn:
            self.set_status(live, self.profile.killed_status)
            return
        self.log(live, self.profile.fail_line.format(error))
        self.set_status(live, "error")

    def _autorun(self, live: Live) -> None:
        """Start the deploys that follow a build by themselves."""
        if live.template.get("type") != "build":
            return
        project = live.task["project_id"]
        for template in self.store.of_project("templates", project):
            if template.get("autorun") and template.get("build_template_id") == live.template["id"]:
                row = {"project_id": project, "template_id": template["id"], "build_task_id": live.task["id"]}
                with contextlib.suppress(PostFailedError):
                    self.add(row, None)

    # --- orders

    def stop_task(self, task: Row, *, force: bool) -> None:
        """Stop in every state (API.md section 5.5)."""
        live = self.find(task["id"])
        if live is None:
            self._stop_unknown(task)
            return
        before = task["status"]
        self.set_status(live, "stopped" if force else "stopping")
        if before == "running":
            live.killed = True
            if live.process is not None:
                live.process.kill() if force else live.process.ask_to_end(self.profile.term_seconds)

    def stop_all(self, template: Row, *, force: bool) -> None:
        """Every task of a template. Newer servers update waiting ones without telling anybody (NEWER.md 4)."""
        for live in [*self.queue, *self.running]:
            if live.template is not template:
                continue
            if live in self.queue and self.profile.stop_all_silent:
                self.queue.remove(live)
                live.task.update(status="stopped", end=clock.now())
            else:
                self.stop_task(live.task, force=force)

    def _stop_unknown(self, task: Row) -> None:
        """A finished task, or one a dead server left behind: the row is simply rewritten."""
        if task["status"] == "stopped":
            return
        task["status"] = "stopped"
        template = self.store.get("templates", task["project_id"], task["template_id"])
        self.frame(task, self.store.audience(task["project_id"]))
        self.event(task, template["name"] if template else "")

    def answer(self, task: Row, status: str) -> bool:
        """Confirm or reject: taken for any task in memory, whatever its status (API.md section 5.6)."""
        live = self.find(task["id"])
        if live is None:
            return False
        self.set_status(live, status)
        return True
