"""Calls on templates (API.md section 4)."""

from aiohttp import web

from chatrixcd_threads.demo.semaphore import gojson
from chatrixcd_threads.demo.semaphore.content import add_template
from chatrixcd_threads.demo.semaphore.http import Context, Route, empty, reply, route, sentence
from chatrixcd_threads.demo.semaphore.shape import Shaper
from chatrixcd_threads.demo.semaphore.store import Row, Store

FIELDS = {
    "id": "int",
    "project_id": "int",
    "inventory_id": "int",
    "repository_id": "int",
    "environment_id": "int",
    "environment_ids": "list",
    "name": "str",
    "playbook": "str",
    "arguments": "str",
    "allow_override_args_in_task": "bool",
    "allow_override_branch_in_task": "bool",
    "allow_parallel_tasks": "bool",
    "description": "str",
    "vaults": "list",
    "type": "str",
    "start_version": "str",
    "build_template_id": "int",
    "view_id": "int",
    "autorun": "bool",
    "git_branch": "str",
    "survey_vars": "list",
    "suppress_success_alerts": "bool",
    "app": "str",
    "task_params": "obj",
}
SORTS = ("name", "playbook", "inventory", "environment", "repository")
KNOWN_APPS = ("ansible", "terraform", "tofu", "terragrunt", "bash", "powershell", "python", "pulumi", "")


class Templates:
    """The handlers."""

    def __init__(self, store: Store, shaper: Shaper) -> None:
        self.store = store
        self.profile = store.profile
        self.shaper = shaper

    def routes(self) -> list[Route]:
        """The table of calls."""
        base, one = "/project/{p}/templates", "/project/{p}/templates/{t}"
        return [
            route("GET", base, self.all),
            route("POST", base, self.new, bit=4),
            route("GET", one, self.one),
            route("PUT", one, self.change, bit=4),
            route("DELETE", one, self.delete, bit=4),
            route("GET", one + "/refs", self.refs),
            route("GET", one + "/schedules", self.schedules),
            route("GET", "/project/{p}/views/{v}/templates", self.of_view),
        ]

    def _sorted(self, rows: list[Row], context: Context) -> list[Row]:
        query = context.request.query
        column = query.get("sort", "")
        if column in SORTS and self.profile.sort_by_name:
            rows = sorted(rows, key=lambda row: self._sort_key(row, column))
        return rows[::-1] if query.get("order") == "desc" and self.profile.sort_by_name else rows

    def _sort_key(self, row: Row, column: str) -> str:
        if column in ("name", "playbook"):
            return str(row[column])
        kind = "repositories" if column == "repository" else column
        found = self.store.get(kind, row["project_id"], row.get(f"{column}_id"))
        return str(found["name"]) if found else ""

    def find(self, context: Context) -> Row | None:
        """The template of the path."""
        return self.store.get("templates", context.pid, context.id("t"))

    async def all(self, context: Context) -> web.StreamResponse:
        """The list; 2.10 on SQL leaves survey and flags out."""
        sort = context.request.query.get("sort", "")
        if self.profile.strict_sort and sort and sort not in SORTS:
            return sentence("invalid sort column")
        rows = self._sorted(self.store.of_project("templates", context.pid), context)
        return reply([self.shaper.template(row, listed=True, bits=context.bits) for row in rows])

    async def of_view(self, context: Context) -> web.StreamResponse:
        """The templates of one view."""
        view = context.id("v")
        rows = [r for r in self.store.of_project("templates", context.pid) if r.get("view_id") == view]
        return reply([self.shaper.template(row, listed=True, bits=context.bits) for row in rows])

    async def one(self, context: Context) -> web.StreamResponse:
        """A single template, the whole truth."""
        row = self.find(context)
        return reply(self.shaper.template(row, bits=context.bits)) if row else empty(404)

    def _complaint(self, row: Row) -> str | None:
        app = row.get("app", "")
        if not row.get("name"):
            return "template name can not be empty"
        if not row.get("playbook") and app not in ("terraform", "tofu", "terragrunt"):
            return "template playbook can not be empty"
        if app in ("ansible", "") and row.get("inventory_id") is None:
            return "template inventory can not be empty"
        if row.get("arguments") is not None and not gojson.is_json(row["arguments"]):
            return "template arguments must be valid JSON"
        return None

    def _grouped(self, body: Row, before: Row) -> Row:
        """The variable groups of a body: a list clears or sets them; without one they are derived or kept."""
        if not self.profile.group_lists:
            body.pop("environment_ids", None)
        elif "environment_ids" not in body:
            kept = {"environment_ids": before["environment_ids"]} if "environment_ids" in before else {}
            return {**body, **kept} if not body.get("environment_id") else body
        return body

    async def new(self, context: Context) -> web.StreamResponse:
        """Create one. An unknown app is complained about after the row has been stored."""
        row = self._grouped(context.body(FIELDS), {})
        if complaint := self._complaint(row):
            return sentence(complaint)
        known = self.store.get("repositories", context.pid, row.get("repository_id"))
        if self.profile.foreign_keys and known is None:
            self.store.next_id("templates", context.pid)
            return empty(400)
        made = add_template(self.store, context.pid, row)
        if made.get("app", "") not in KNOWN_APPS:
            return sentence(f"Invalid app id: {made['app']}")
        self.store.event(context.pid, context.user["id"], "schedule", made["id"], f"Template ID {made['id']} created")
        return reply(self.shaper.template(made, posted=True), 201)

    async def change(self, context: Context) -> web.StreamResponse:
        """Replace everything."""
        row = self.find(context)
        if row is None:
            return empty(404)
        body = self._grouped(context.body(FIELDS), row)
        if body.get("id") != row["id"]:
            return sentence("template id in URL and in body must be the same")
        if body.get("project_id") != context.pid:
            return sentence("You can not move template to other project")
        if complaint := self._complaint(body):
            return sentence(complaint)
        row.clear()
        row.update({"name": "", "playbook": "", "type": "", "app": "", **body})
        return empty(204)

    async def delete(self, context: Context) -> web.StreamResponse:
        """2.10 refuses for build templates in use; 2.16 on SQLite does not look."""
        row = self.find(context)
        if row is None:
            return empty(404)
        users = [t for t in self.store.of_project("templates", context.pid) if t.get("build_template_id") == row["id"]]
        if self.profile.use_checks and users:
            return empty(self.profile.build_in_use)
        self.store.remove("templates", row)
        for task in self.store.tasks_of(context.pid, row["id"]):
            self.store.tasks.remove(task)
        return empty(204)

    async def refs(self, context: Context) -> web.StreamResponse:
        """What uses the template."""
        row = self.find(context)
        if row is None:
            return empty(404)
        users = [t for t in self.store.of_project("templates", context.pid) if t.get("build_template_id") == row["id"]]
        named = [{"id": t["id"], "name": t["name"]} for t in users]
        made: Row = {"templates": named, "inventories": [], "repositories": []}
        if self.profile.newer_routes:
            made.update(integrations=[], schedules=[], access_keys=[])
        return reply(made)

    async def schedules(self, context: Context) -> web.StreamResponse:
        """Commit-check schedules only; there are none."""
        return reply([]) if self.find(context) else empty(404)
