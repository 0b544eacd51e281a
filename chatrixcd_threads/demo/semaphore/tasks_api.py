"""Calls on tasks (API.md sections 5, 6, 11; NEWER.md sections 2 to 5)."""

import asyncio
import re

from aiohttp import web

from chatrixcd_threads.demo.semaphore import gojson, http
from chatrixcd_threads.demo.semaphore.http import Context, RefusedError, Route, empty, reply, route
from chatrixcd_threads.demo.semaphore.pool import Pool, PostFailedError
from chatrixcd_threads.demo.semaphore.shape import Shaper
from chatrixcd_threads.demo.semaphore.store import Row, Store

LONGEST_LIST = 1000
LAST = 200
FOR_EVER = 10**6
_ANSI = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
_TEXTS = ("environment", "secret", "limit", "arguments", "playbook", "git_branch", "message", "commit_hash")
FIELDS = {
    **dict.fromkeys((*_TEXTS, "commit_message", "version", "start", "end", "status", "created"), "str"),
    **dict.fromkeys(("id", "project_id", "template_id", "inventory_id", "build_task_id", "user_id"), "int"),
    **dict.fromkeys(("integration_id", "schedule_id"), "int"),
}
_OLDER = dict.fromkeys(("debug", "dry_run", "diff"), "bool")
_IGNORED = ("id", "status", "created", "user_id", "project_id")


class Tasks:
    """The handlers."""

    def __init__(self, store: Store, shaper: Shaper, pool: Pool) -> None:
        self.store = store
        self.profile = store.profile
        self.shaper = shaper
        self.pool = pool

    def routes(self) -> list[Route]:
        """The table of calls."""
        one = "/project/{p}/tasks/{t}"
        made = [
            route("GET", "/project/{p}/tasks", self.all),
            route("GET", "/project/{p}/tasks/last", self.last),
            route("POST", "/project/{p}/tasks", self.new, bit=0 if self.profile.body_before_role else 1),
            route("GET", one, self.one),
            route("DELETE", one, self.delete, bit=4),
            route("GET", one + "/output", self.output),
            route("POST", one + "/stop", self.stop, bit=1),
            route("POST", one + "/confirm", self.confirm, bit=1),
            route("GET", "/project/{p}/templates/{t}/tasks", self.of_template),
            route("GET", "/project/{p}/templates/{t}/tasks/last", self.of_template),
        ]
        if not self.profile.newer_routes:
            return made
        return [
            *made,
            route("POST", one + "/reject", self.reject, bit=1),
            route("GET", one + "/raw_output", self.raw_output),
            route("GET", one + "/stages", self.stages),
            route("GET", one + "/ansible/hosts", self.nothing),
            route("GET", one + "/ansible/errors", self.nothing),
            route("POST", "/project/{p}/templates/{t}/stop_all_tasks", self.stop_all, bit=4),
        ]

    def find(self, context: Context) -> Row:
        """The task of the path; 400 when there is none. Raises RefusedError."""
        task = self.store.task(context.pid, context.id("t"))
        if task is None:
            raise RefusedError(empty(400))
        return task

    # --- reading

    async def all(self, context: Context) -> web.StreamResponse:
        """Up to 1000, newest first."""
        rows = self.store.tasks_of(context.pid)[:LONGEST_LIST]
        return reply([self.shaper.listed(row) for row in rows])

    def _limit(self, context: Context) -> int:
        text = context.request.query.get("limit", "")
        value = http.number(text) or 0
        return value if 1 <= value <= LAST else LAST

    async def last(self, context: Context) -> web.StreamResponse:
        """The newest ones."""
        return self._page(context, self.store.tasks_of(context.pid))

    def _page(self, context: Context, rows: list[Row]) -> web.StreamResponse:
        """One page of the newest: by `limit`, or since 2.18 by `count` and `before`."""
        if not self.profile.task_pages:
            return reply([self.shaper.listed(row) for row in rows[: self._limit(context)]])
        query = context.request.query
        count = http.number(query.get("count", "")) or self._limit(context)
        count = count if 1 <= count <= LAST else LAST
        before = http.number(query.get("before", "")) or 0
        rows = sorted((row for row in rows if before < 1 or row["id"] < before), key=lambda row: -int(row["id"]))
        answer = reply([self.shaper.listed(row) for row in rows[:count]])
        answer.headers["X-Has-Next"] = "true" if len(rows) > count else "false"
        return answer

    async def of_template(self, context: Context) -> web.StreamResponse:
        """The same of one template."""
        template = self.store.get("templates", context.pid, context.id("t"))
        if template is None:
            return empty(404)
        rows = self.store.tasks_of(context.pid, template["id"])
        if context.request.path.rstrip("/").endswith("/last"):
            return self._page(context, rows)
        return reply([self.shaper.listed(row) for row in rows[:LONGEST_LIST]])

    async def one(self, context: Context) -> web.StreamResponse:
        """One task, without the fields of its template."""
        return reply(self.shaper.task(self.find(context)))

    async def output(self, context: Context) -> web.StreamResponse:
        """The whole output."""
        task = self.find(context)
        return reply([self.shaper.record(task["id"], record) for record in self.store.output[task["id"]]])

    async def raw_output(self, context: Context) -> web.StreamResponse:
        """The output as text, colours removed."""
        task = self.find(context)
        lines = [_ANSI.sub("", record.text) + "\n" for record in self.store.output[task["id"]]]
        return http.plain("".join(lines))

    async def stages(self, context: Context) -> web.StreamResponse:
        """Pro only: an empty list."""
        self.find(context)
        return reply([])

    async def nothing(self, context: Context) -> web.StreamResponse:
        """Pro only: null."""
        self.find(context)
        return reply(None)

    # --- starting

    async def new(self, context: Context) -> web.StreamResponse:
        """Start a task (API.md section 6)."""
        fields = {**FIELDS, "params": "obj"} if self.profile.params else {**FIELDS, **_OLDER}
        if self.profile.template_names:
            fields["template_name"] = "str"
        body = context.body(fields)
        if self.profile.body_before_role:
            context.need(1)
        if self.profile.template_names:
            self._name_template(context.pid, body)
        for key in ("start", "end"):
            if key in body:
                body[key] = http.moment(body[key])
        row = {key: value for key, value in body.items() if key not in _IGNORED}
        row.setdefault("template_id", 0)
        dying = self.pool.writer.overfull
        try:
            live = self.pool.add({**row, "project_id": context.pid}, context.user)
        except PostFailedError as error:
            return empty(error.status)
        if self.pool.stuck:
            await asyncio.sleep(FOR_EVER)
        if dying:
            self.pool.hang()
        shown = self.shaper.task({**live.task, "status": "waiting"}, posted=True)
        return reply(self.store.mischief.answered(shown), 201)

    def _name_template(self, project: int, body: Row) -> None:
        """Puts the id of `template_name` into the body; an id wins. Raises RefusedError."""
        name = body.pop("template_name", "")
        if body.get("template_id"):
            return
        if not name:
            raise RefusedError(http.sentence("template_id or template_name is required"))
        found = [each["id"] for each in self.store.of_project("templates", project) if each["name"] == name]
        if len(found) > 1:
            raise RefusedError(http.sentence(f"more than one template is named {name}"))
        body["template_id"] = found[0] if found else 0

    # --- orders

    async def stop(self, context: Context) -> web.StreamResponse:
        """Ask (`force` false) or kill (`force` true). A body is required."""
        task = self.find(context)
        force = context.body({"force": "bool"}).get("force", False)
        self.pool.stop_task(task, force=force)
        return empty(204)

    async def confirm(self, context: Context) -> web.StreamResponse:
        """Yes, in any state."""
        return empty(204 if self.pool.answer(self.find(context), "confirmed") else 400)

    async def reject(self, context: Context) -> web.StreamResponse:
        """No, in any state."""
        return empty(204 if self.pool.answer(self.find(context), "rejected") else 400)

    async def stop_all(self, context: Context) -> web.StreamResponse:
        """A stub in 2.16: 204, and nothing happens."""
        template = self.store.get("templates", context.pid, context.id("t"))
        if template is None:
            return empty(404)
        if self.profile.stop_all_works:
            try:
                force = bool(gojson.decode(context.raw, {"force": "bool"}).get("force"))
            except gojson.BadJsonError:
                return http.sentence("Not allowed")
            self.pool.stop_all(template, force=force)
        return empty(204)

    async def delete(self, context: Context) -> web.StreamResponse:
        """Managers get to the handler, only admins through it; never an active task."""
        task = self.find(context)
        if self.pool.find(task["id"]) is not None:
            return empty(400)
        if not context.user["admin"]:
            return empty(401)
        self.store.tasks.remove(task)
        self.store.output.pop(task["id"], None)
        return empty(204)
