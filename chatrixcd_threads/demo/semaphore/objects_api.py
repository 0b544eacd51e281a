"""Calls on a project and its objects (API.md sections 3, 13, 14, 15)."""

import secrets

from aiohttp import web

from chatrixcd_threads.demo.semaphore import clock, cron, gojson, http
from chatrixcd_threads.demo.semaphore.account import WEB_HOST
from chatrixcd_threads.demo.semaphore.content import add_environment
from chatrixcd_threads.demo.semaphore.http import Context, RefusedError, Route, empty, reply, route, sentence
from chatrixcd_threads.demo.semaphore.pool import Pool
from chatrixcd_threads.demo.semaphore.shape import Shaper
from chatrixcd_threads.demo.semaphore.store import ROLES, Row, Store

_IDS = {"id": "int", "project_id": "int"}
FIELDS: dict[str, dict[str, str]] = {
    "keys": {**_IDS, "name": "str", "type": "str", "login_password": "obj", "ssh": "obj", "string": "str"},
    "repositories": {**_IDS, "name": "str", "git_url": "str", "git_branch": "str", "ssh_key_id": "int"},
    "inventory": {
        **_IDS,
        "name": "str",
        "inventory": "str",
        "ssh_key_id": "int",
        "become_key_id": "int",
        "type": "str",
        "repository_id": "int",
    },
    "environment": {**_IDS, "name": "str", "json": "str", "env": "str", "password": "str", "secrets": "list"},
    "views": {**_IDS, "title": "str", "position": "int"},
    "schedules": {
        **_IDS,
        "template_id": "int",
        "cron_format": "str",
        "name": "str",
        "active": "bool",
        "task_params": "obj",
    },
    "integrations": {
        **_IDS,
        "name": "str",
        "template_id": "int",
        "auth_method": "str",
        "auth_secret_id": "int",
        "auth_header": "str",
        "searchable": "bool",
    },
}
DEFAULTS: dict[str, Row] = {
    "keys": {"name": "", "type": "none"},
    "repositories": {"name": "", "git_url": "", "git_branch": "", "ssh_key_id": 0},
    "inventory": {"name": "", "inventory": "", "type": "static"},
    "environment": {"name": "", "json": "{}"},
    "views": {"title": "", "position": 0},
    "schedules": {"template_id": 0, "cron_format": "", "name": "", "active": False},
    "integrations": {"name": "", "template_id": 0, "auth_method": "", "auth_header": "", "searchable": False},
}
INVENTORY_TYPES = (
    "static",
    "static-yaml",
    "file",
    "none",
    "terraform-workspace",
    "tofu-workspace",
    "terragrunt-workspace",
)
_SILENT = ("keys", "repositories", "environment")
_SAME_PROJECT = ("environment", "repositories")
_TEMPLATE_REFERENCE = {"inventory": "inventory_id", "environment": "environment_id", "repositories": "repository_id"}
_IN_USE = {"inventory": "Inventory", "environment": "Environment", "repositories": "Repository"}


class Objects:
    """The handlers for everything that is stored in a project, templates and tasks excepted."""

    def __init__(self, store: Store, shaper: Shaper, pool: Pool) -> None:
        self.store = store
        self.profile = store.profile
        self.shaper = shaper
        self.pool = pool

    def routes(self) -> list[Route]:
        """The table of calls."""
        made = [
            route("GET", "/project/{p}", self.project),
            route("PUT", "/project/{p}", self.change_project, bit=2),
            route("GET", "/project/{p}/role", self.role),
            route("DELETE", "/project/{p}/me", self.leave),
            route("GET", "/project/{p}/users", self.users),
            route("POST", "/project/{p}/users", self.add_user, bit=8),
            route("GET", "/project/{p}/events", self.events),
            route("GET", "/project/{p}/events/last", self.events),
            route("POST", "/project/{p}/schedules/validate", self.validate, bit=4),
            route("PUT", "/project/{p}/schedules/{o}/active", self.activate, bit=4),
            route("GET", "/project/{p}/integrations/aliases", self.aliases),
            route("POST", "/project/{p}/integrations/aliases", self.new_alias, bit=4),
            route("GET", "/project/{p}/integrations/{o}/aliases", self.aliases),
            route("POST", "/project/{p}/integrations/{o}/aliases", self.new_alias, bit=4),
            route("POST", "/project/{p}/integrations/{o}/matchers", self.new_matcher, bit=4),
            *(route(m, "/integrations/{alias}", self.incoming, auth=False) for m in ("POST", "GET", "OPTIONS")),
        ]
        for kind in FIELDS:
            made += self._kind_routes(kind)
        return made + (self._newer() if self.profile.newer_routes else [])

    def _newer(self) -> list[Route]:
        return [
            route("GET", "/project/{p}/stats", self.stats),
            route("GET", "/project/{p}/templates/{t}/stats", self.stats),
            route("GET", "/project/{p}/secret_storages", self.nothing),
            route("GET", "/project/{p}/runners", self.nothing),
            route("GET", "/project/{p}/runner_tags", self.nothing),
            route("POST", "/project/{p}/notifications/test", self.no_alerts, bit=4),
            route("GET", "/project/{p}/repositories/{o}/branches", self.branches),
        ]

    def _kind_routes(self, kind: str) -> list[Route]:
        base, one = f"/project/{{p}}/{kind}", f"/project/{{p}}/{kind}/{{o}}"

        async def listed(context: Context) -> web.StreamResponse:
            return self.list_of(kind, context)

        async def new(context: Context) -> web.StreamResponse:
            return self.new(kind, context)

        async def single(context: Context) -> web.StreamResponse:
            return reply(self.show(kind, self.find(kind, context), single=True))

        async def change(context: Context) -> web.StreamResponse:
            return self.change(kind, context)

        async def delete(context: Context) -> web.StreamResponse:
            return self.delete(kind, context)

        return [
            route("GET", base, listed),
            route("POST", base, new, bit=4),
            route("GET", one, single),
            route("PUT", one, change, bit=4),
            route("DELETE", one, delete, bit=4),
        ]

    # --- the project

    async def project(self, context: Context) -> web.StreamResponse:
        """The project object."""
        return reply(self.shaper.project(context.project))

    async def change_project(self, context: Context) -> web.StreamResponse:
        """Name, alerts, limit."""
        fields = {"id": "int", "name": "str", "alert": "bool", "alert_chat": "str", "max_parallel_tasks": "int"}
        body = context.body(fields)
        if body.get("id") != context.pid:
            return sentence("Project ID in body and URL must be the same")
        context.project.update({"alert": False, "alert_chat": None, "max_parallel_tasks": 0, **body})
        self.pool.wake()
        return empty(204)

    async def role(self, context: Context) -> web.StreamResponse:
        """Role and bits; both empty for an admin who is no member."""
        role = self.store.members.get((context.pid, context.user["id"]), "")
        return reply({"role": role, "permissions": ROLES.get(role, 0)})

    async def leave(self, context: Context) -> web.StreamResponse:
        """Leave the project."""
        self.store.members.pop((context.pid, context.user["id"]), None)
        return empty(204)

    async def users(self, context: Context) -> web.StreamResponse:
        """The members with their roles."""
        made = []
        for (project, user_id), role in self.store.members.items():
            user = self.store.user(user_id)
            if project == context.pid and user is not None:
                made.append({"id": user_id, "username": user["username"], "name": user["name"], "role": role})
        if self.profile.sort_by_name:
            made.sort(key=lambda row: str(row["name"]), reverse=context.request.query.get("order") == "desc")
        return reply(made)

    async def add_user(self, context: Context) -> web.StreamResponse:
        """Make a user a member."""
        body = context.body({"user_id": "int", "role": "str"})
        if self.store.user(body.get("user_id", 0)) is None:
            return empty(404)
        self.store.members[(context.pid, body["user_id"])] = body.get("role", "guest")
        return empty(204)

    async def events(self, context: Context) -> web.StreamResponse:
        """The project's events, newest first."""
        rows = [e for e in reversed(self.store.events) if e["project_id"] == context.pid]
        if context.request.path.endswith("/last"):
            rows = rows[: self.profile.events_last]
        return reply([self.shaper.event(e) for e in rows])

    async def stats(self, context: Context) -> web.StreamResponse:
        """Counts per day."""
        query = context.request.query
        for name in ("start", "end"):
            if query.get(name) and len(query[name]) != len("2026-01-01"):
                return sentence(f"Invalid {name} date")
        template = context.id("t") if "t" in context.path else None
        days: dict[str, dict[str, int]] = {}
        for task in self.store.tasks_of(context.pid, template):
            day = days.setdefault(clock.utc(task["created"])[:10], {})
            day[task["status"]] = day.get(task["status"], 0) + 1
        return reply([{"date": d, "count_by_status": days[d], "avg_duration": 0} for d in sorted(days)])

    async def nothing(self, _: Context) -> web.StreamResponse:
        """An empty list."""
        return reply([])

    async def no_alerts(self, _: Context) -> web.StreamResponse:
        """Alerts are off."""
        return empty(409)

    async def branches(self, context: Context) -> web.StreamResponse:
        """Only for real git addresses."""
        self.find("repositories", context)
        return web.Response(status=400, body=b"Wrong repository type: file", headers=http.JSON)

    # --- objects

    def show(self, kind: str, row: Row, *, single: bool = False, listed: bool = False, posted: bool = False) -> Row:
        """One object as JSON."""
        if kind == "keys":
            return self.shaper.key(row, posted=posted)
        if kind == "environment":
            return self.shaper.environment(row, single=single)
        if kind == "inventory":
            return self.shaper.inventory(row)
        if kind == "schedules":
            return self.shaper.schedule(row, listed=listed, posted=posted)
        return self.shaper.plain(kind, row)

    def find(self, kind: str, context: Context) -> Row:
        """The object of the path. Raises RefusedError."""
        row = self.store.get(kind, context.pid, context.id("o"))
        if row is None:
            raise RefusedError(empty(404))
        return row

    def list_of(self, kind: str, context: Context) -> web.Response:
        """All objects of a kind."""
        rows = self.store.of_project(kind, context.pid)
        if kind == "inventory" and not self.profile.holders_in_list:
            rows = [row for row in rows if not row.get("holder")]
        return reply([self.show(kind, row, listed=True) for row in rows])

    def _complaint(self, kind: str, row: Row) -> str | None:
        if kind == "environment" and not gojson.is_json(row["json"]):
            return "Extra variables must be valid JSON"
        if kind == "inventory" and row["type"] not in INVENTORY_TYPES:
            return "Not supported inventory type"
        if kind == "schedules" and (complaint := cron.problem(row["cron_format"])):
            return f"Cron: {complaint}"
        return None

    def new(self, kind: str, context: Context) -> web.Response:
        """Store an object."""
        row = {**DEFAULTS[kind], **context.body(FIELDS[kind])}
        if kind in _SAME_PROJECT and row.get("project_id") != context.pid:
            return self._other_project(kind, row)
        if complaint := self._complaint(kind, row):
            return sentence(complaint)
        known = self.store.get("templates", context.pid, row.get("template_id"))
        if kind == "schedules" and self.profile.foreign_keys and known is None:
            return empty(400)
        if kind == "schedules":
            row["echoed"] = row.pop("task_params", {})
        made = (
            add_environment(self.store, context.pid, row)
            if kind == "environment"
            else self.store.add(kind, context.pid, row)
        )
        self._note(kind, made, context, "created")
        if kind in _SILENT and not self.profile.post_returns_object:
            return empty(204)
        return reply(self.show(kind, made, posted=True), 201)

    def _other_project(self, kind: str, row: Row) -> web.Response:
        """2.16 complains about an environment and stores it all the same; both answers go out."""
        text = "Project ID in body and URL must be the same"
        complaint = sentence(text)
        if kind != "environment" or not self.profile.post_returns_object:
            return complaint
        made = add_environment(self.store, row["project_id"], row)
        lines = [gojson.dumps({"error": text}), gojson.dumps(self.shaper.environment(made)), b""]
        return web.Response(status=400, body=b"\n".join(lines), headers=http.JSON)

    def _note(self, kind: str, row: Row, context: Context, what: str) -> None:
        name = {"repositories": "repository", "inventory": "inventory", "environment": "environment"}.get(
            kind, kind[:-1]
        )
        shown = row.get("name") or row.get("title") or ""
        text = f"Schedule ID {row['id']} {what}" if kind == "schedules" else f"{name.capitalize()} {shown} {what}"
        self.store.event(context.pid, context.user["id"], name, row["id"], text)

    def change(self, kind: str, context: Context) -> web.Response:
        """Replace an object."""
        row = self.find(kind, context)
        body = context.body(FIELDS[kind])
        if kind == "schedules" and body.get("id") != row["id"]:
            return sentence("schedule id in URL and in body must be the same")
        if kind == "schedules" and body.get("project_id") != context.pid:
            return sentence("You can not move schedule to other project")
        fresh = {**DEFAULTS[kind], **body}
        if complaint := self._complaint(kind, fresh):
            return sentence(complaint)
        fresh.pop("task_params", None)
        row.update({**fresh, "id": row["id"], "project_id": context.pid})
        return empty(204)

    def delete(self, kind: str, context: Context) -> web.Response:
        """Forget an object; 2.10 refuses while a template uses it."""
        row = self.find(kind, context)
        reference = _TEMPLATE_REFERENCE.get(kind)
        users = self.store.of_project("templates", context.pid)
        if self.profile.use_checks and reference and any(t.get(reference) == row["id"] for t in users):
            return sentence(f"{_IN_USE[kind]} is in use by one or more templates", inUse=True)
        self.store.remove(kind, row)
        return empty(204)

    # --- schedules

    async def validate(self, context: Context) -> web.StreamResponse:
        """Is this a cron text?"""
        complaint = cron.problem(context.body({"cron_format": "str"}).get("cron_format", ""))
        return sentence(f"Cron: {complaint}") if complaint else empty(200)

    async def activate(self, context: Context) -> web.StreamResponse:
        """Switch a schedule."""
        row = self.find("schedules", context)
        row["active"] = context.body({"active": "bool"}).get("active", False)
        return empty(204)

    # --- integrations

    def _aliases(self, context: Context) -> list[Row]:
        wanted = context.id("o") if "o" in context.path else None
        return [a for a in self.store.aliases if a["project_id"] == context.pid and a["integration_id"] == wanted]

    async def aliases(self, context: Context) -> web.StreamResponse:
        """Public addresses."""
        return reply([{"id": a["id"], "url": a["url"]} for a in self._aliases(context)])

    async def new_alias(self, context: Context) -> web.StreamResponse:
        """One more public address."""
        integration = self.find("integrations", context)["id"] if "o" in context.path else None
        name = secrets.token_hex(16)
        row: Row = {
            "id": self.store.next_id("alias", 0),
            "name": name,
            "url": f"{WEB_HOST}/api/integrations/{name}",
            "project_id": context.pid,
            "integration_id": integration,
        }
        self.store.aliases.append(row)
        return reply({"id": row["id"], "url": row["url"]})

    async def new_matcher(self, context: Context) -> web.StreamResponse:
        """A condition."""
        names = ("name", "match_type", "method", "body_data_type", "key", "value")
        integration = self.find("integrations", context)
        body = context.body(dict.fromkeys(names, "str"))
        row: Row = {"id": self.store.next_id("matcher", 0), "integration_id": integration["id"]}
        row |= {key: body.get(key, "") for key in names}
        self.store.matchers.append(row)
        return reply(row)

    async def incoming(self, context: Context) -> web.StreamResponse:
        """A call from another system: 204 whether a task was started or not."""
        alias = next((a for a in self.store.aliases if a["name"] == context.path["alias"].lower()), None)
        if alias is None:
            return empty(self.profile.alias_unknown)
        for row in self.store.of_project("integrations", alias["project_id"]):
            if alias["integration_id"] not in (None, row["id"]):
                continue
            if self._matches(context, row, of_project=alias["integration_id"] is None):
                task: Row = {"project_id": row["project_id"], "template_id": row["template_id"], "environment": "{}"}
                self.pool.add({**task, "integration_id": row["id"]}, None)
        return empty(204)

    def _matches(self, context: Context, row: Row, *, of_project: bool) -> bool:
        if not of_project and self.profile.alias_ignores_matchers:
            return True
        if of_project and not row.get("searchable"):
            return False
        mine = [m for m in self.store.matchers if m["integration_id"] == row["id"]]
        headers = context.request.headers
        return bool(mine) and all(m["match_type"] == "header" and headers.get(m["key"]) == m["value"] for m in mine)
