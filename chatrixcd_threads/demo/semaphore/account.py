"""Calls without a project: login, users, tokens, info, projects, events (API.md section 2)."""

import secrets
import shutil

from aiohttp import web

from chatrixcd_threads.demo.semaphore import clock, http, shape
from chatrixcd_threads.demo.semaphore.http import Context, Route, empty, reply, route
from chatrixcd_threads.demo.semaphore.pool import Pool
from chatrixcd_threads.demo.semaphore.shape import Shaper
from chatrixcd_threads.demo.semaphore.store import Row, Store
from chatrixcd_threads.demo.semaphore.ws import Hub

COOKIE = "semaphore"
PREFIX = 8
WEB_HOST = "http://semaphore.test:3000"


class Account:
    """The handlers that need no project."""

    def __init__(self, store: Store, shaper: Shaper, pool: Pool, hub: Hub) -> None:
        self.store = store
        self.profile = store.profile
        self.shaper = shaper
        self.pool = pool
        self.hub = hub

    def routes(self) -> list[Route]:
        """The table of calls."""
        made = [
            route("GET", "/ping", self.ping, auth=False),
            route("GET", "/auth/login", self.login_info, auth=False),
            route("POST", "/auth/login", self.login, auth=False),
            route("POST", "/auth/logout", self.logout, auth=False),
            route("GET", "/ws", self.websocket),
            route("GET", "/info", self.info),
            route("GET", "/user", self.me),
            route("GET", "/user/tokens", self.tokens),
            route("POST", "/user/tokens", self.new_token),
            route("DELETE", "/user/tokens/{token}", self.delete_token),
            route("GET", "/users", self.users),
            route("POST", "/users", self.new_user),
            route("GET", "/users/{user}", self.user),
            route("GET", "/projects", self.projects),
            route("POST", "/projects", self.new_project),
            route("GET", "/events", self.events),
            route("GET", "/events/last", self.events),
            route("GET", "/apps", self.apps),
            route("GET", "/tasks", self.active, admin=True),
            route("GET", "/tasks/{task}", self.active, admin=True),
            route("DELETE", "/tasks/{task}", self.stop_any, admin=True),
            route("GET", "/runners", self.nothing, admin=True),
            route("GET", "/options", self.options, admin=True),
        ]
        if self.profile.newer_routes:
            made.append(route("GET", "/subscription", self.subscription))
        return made

    # --- who asks

    def caller(self, request: web.Request) -> Row | None:
        """The user of the header, or of the cookie when the header is no bearer header (API.md section 1.1)."""
        header = request.headers.get("Authorization", "").strip().lower()
        if "bearer" in header:
            return self.store.token_user(header.replace("bearer ", "", 1))
        session = self.store.sessions.get(request.cookies.get(COOKIE, ""))
        return self.store.user(session) if session is not None else None

    async def ping(self, _: Context) -> web.StreamResponse:
        """The health check."""
        return http.plain("pong")

    async def login_info(self, _: Context) -> web.StreamResponse:
        """Which ways of logging in there are."""
        made: Row = {"oidc_providers": [], "login_with_password": True}
        return reply({**made, "auth_methods": {}} if self.profile.newer_routes else made)

    async def login(self, context: Context) -> web.StreamResponse:
        """Password login: a session cookie."""
        body = context.body({"auth": "str", "password": "str"})
        user = self.store.login(body.get("auth", ""), body.get("password", ""))
        if user is None:
            return empty(401)
        answer = empty(204)
        value = secrets.token_urlsafe(32)
        self.store.sessions[value] = user["id"]
        answer.set_cookie(COOKIE, value, path="/", httponly=self.profile.http_only_cookie)
        return answer

    async def logout(self, _: Context) -> web.StreamResponse:
        """Clears the cookie, and only that."""
        answer = empty(204)
        answer.set_cookie(COOKIE, "", path="/", expires="Thu, 01 Jan 1970 00:00:00 GMT")
        return answer

    async def websocket(self, context: Context) -> web.StreamResponse:
        """The upgrade; a plain GET is answered by version."""
        request = context.request
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await self.hub.serve(request, context.user["id"])
        if not self.profile.ws_plain_get and request.transport is not None:
            request.transport.abort()
        more = {"Sec-Websocket-Version": "13", "X-Content-Type-Options": "nosniff"}
        return http.plain("Bad Request\n", 400, more)

    async def info(self, _: Context) -> web.StreamResponse:
        """Version and address. `ansible` is empty without Ansible."""
        ansible = "ansible [core 2.19.14]\n  config file = None\n" if shutil.which("ansible-playbook") else ""
        made: Row = {
            "ansible": ansible,
            "use_remote_runner": False,
            "version": self.profile.version,
            "web_host": WEB_HOST,
        }
        if self.profile.newer_routes:
            features = ("project_runners", "secret_storages", "task_summary", "terraform_backend")
            made["premium_features"] = dict.fromkeys(features, False)
            made.update(auth_methods={}, git_client="cmd_git", schedule_timezone="UTC")
        return reply(made)

    async def me(self, context: Context) -> web.StreamResponse:
        """The caller."""
        return reply(self.shaper.caller(context.user))

    # --- tokens

    def _token(self, row: Row, *, whole: bool) -> Row:
        shown = row["id"] if whole or not self.profile.token_prefix else row["id"][:PREFIX]
        created = clock.utc(row["created"], 0) if self.profile.token_created else clock.ZERO
        made = {"id": shown, "created": created, "expired": row["expired"], "user_id": row["user_id"]}
        return {**made, **{key: row[key] for key in ("name", "expires_at") if row.get(key)}}

    async def tokens(self, context: Context) -> web.StreamResponse:
        """The caller's tokens, newest first."""
        mine = [t for t in reversed(self.store.tokens) if t["user_id"] == context.user["id"]]
        if not self.profile.revoked_tokens_live:
            mine = [t for t in mine if not t["expired"]]
        return reply([self._token(t, whole=False) for t in mine])

    async def new_token(self, context: Context) -> web.StreamResponse:
        """One more token; the only time 2.16 shows it whole."""
        fields = {"name": "str", "expires_at": "str"} if self.profile.token_names else {}
        more = context.body(fields) if fields and context.raw.strip() else {}
        if more.get("expires_at") and http.moment(more["expires_at"]) <= clock.now():
            return empty(400)
        return reply(self._token(self.store.add_token(context.user["id"], **more), whole=True), 201)

    async def delete_token(self, context: Context) -> web.StreamResponse:
        """Revoke by the whole text or, in 2.16, by its first eight characters."""
        wanted = context.path["token"].lower()
        for token in self.store.tokens:
            short = self.profile.token_prefix and token["id"][:PREFIX] == wanted
            if token["user_id"] == context.user["id"] and (token["id"] == wanted or short):
                token["expired"] = True
                return empty(204)
        return empty(self.profile.unknown_token_delete)

    # --- users and projects

    async def users(self, context: Context) -> web.StreamResponse:
        """Full objects for admins, names for the others."""
        if context.user["admin"]:
            return reply([self.shaper.user(u) for u in self.store.users])
        return reply([{key: u[key] for key in ("id", "username", "name")} for u in self.store.users])

    async def user(self, context: Context) -> web.StreamResponse:
        """One user."""
        found = self.store.user(context.id("user"))
        mine = found is not None and (context.user["admin"] or found["id"] == context.user["id"])
        if found is not None and (mine or self.profile.users_readable):
            return reply(self.shaper.user(found) if mine else self.shaper.stranger(found))
        return empty(404 if found is None else 401)

    async def new_user(self, context: Context) -> web.StreamResponse:
        """Admins only, and the refusal is a 401."""
        if not context.user["admin"]:
            return empty(401)
        fields = {"username": "str", "name": "str", "email": "str", "password": "str"}
        body = context.body({**fields, "admin": "bool", "alert": "bool", "external": "bool"})
        return reply(self.shaper.user(self.store.add_user({**dict.fromkeys(fields, ""), **body})), 201)

    async def projects(self, context: Context) -> web.StreamResponse:
        """The caller's projects; all of them for an admin."""
        rows = [
            p
            for p in self.store.projects
            if context.user["admin"] or (p["id"], context.user["id"]) in self.store.members
        ]
        if self.profile.sort_by_name:
            rows.sort(key=lambda p: str(p["name"]))
        return reply([self.shaper.project(p) for p in rows])

    async def new_project(self, context: Context) -> web.StreamResponse:
        """Admins only. The answer echoes, SQL of 2.10 keeps name and type only."""
        if not context.user["admin"]:
            return empty(401)
        fields = {"name": "str", "alert": "bool", "alert_chat": "str", "max_parallel_tasks": "int", "type": "str"}
        row = self.store.add_project({"name": "", **context.body(fields)}, context.user["id"])
        self.store.event(row["id"], context.user["id"], "project", row["id"], f"Project {row['name']} created")
        made = self.shaper.project(row)
        return reply(made if self.profile.omit_empty else {**made, "alert_chat": row["alert_chat"]}, 201)

    async def events(self, context: Context) -> web.StreamResponse:
        """Events of the caller's own projects, newest first."""
        mine = {project for project, user in self.store.members if user == context.user["id"]}
        rows = [e for e in reversed(self.store.events) if e["project_id"] in mine]
        if context.request.path.endswith("/last"):
            rows = rows[: self.profile.events_last]
        return reply([self.shaper.event(e) for e in rows])

    async def apps(self, _: Context) -> web.StreamResponse:
        """The apps."""
        return reply(shape.apps(self.profile))

    # --- admins

    async def active(self, _: Context) -> web.StreamResponse:
        """What is queued or running on this server."""
        made = []
        for place, lives in (("queue", self.pool.queue), ("running", self.pool.running)):
            for live in lives:
                row = {"task_id": live.task["id"], "project_id": live.task["project_id"]}
                named = live.username and self.profile.newer_routes
                name = {"username": live.username} if named else {}
                made.append({**row, **name, "status": live.task["status"], "location": place})
        return reply(made)

    async def stop_any(self, context: Context) -> web.StreamResponse:
        """A graceful stop; always 204."""
        live = self.pool.find(context.id("task"))
        if live is not None:
            self.pool.stop_task(live.task, force=False)
        return empty(204)

    async def nothing(self, _: Context) -> web.StreamResponse:
        """An empty list."""
        return reply([])

    async def options(self, _: Context) -> web.StreamResponse:
        """No settings."""
        return reply({})

    async def subscription(self, _: Context) -> web.StreamResponse:
        """200 without a body."""
        return empty(200)
