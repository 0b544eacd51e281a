"""The rows of the server: what survives a restart. Ids and order as the stores make them (API.md section 1)."""

import secrets
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from chatrixcd_threads.demo.semaphore import clock
from chatrixcd_threads.demo.semaphore.mischief import NONE, Mischief
from chatrixcd_threads.demo.semaphore.profile import Profile

Row = dict[str, Any]

FIRST_BOLT_TASK = 2**31 - 2
ROLES = {"owner": 15, "manager": 5, "task_runner": 1, "guest": 0}
OBJECTS = ("keys", "repositories", "inventory", "environment", "views", "templates", "schedules", "integrations")


@dataclass
class Record:
    """One line of a task's output."""

    time: int
    text: str


def group_ids(template: Row) -> list[int]:
    """The ids of a template's variable groups, in either form."""
    one = template.get("environment_id")
    several: list[int] | None = template.get("environment_ids")
    return several if several is not None else [one] if one else []


@dataclass
class Store:
    """All tables. Plain rows; what a caller may see of them is made in `shape`."""

    profile: Profile
    mischief: Mischief = NONE
    users: list[Row] = field(default_factory=list)
    tokens: list[Row] = field(default_factory=list)
    sessions: dict[str, int] = field(default_factory=dict)
    projects: list[Row] = field(default_factory=list)
    members: dict[tuple[int, int], str] = field(default_factory=dict)
    objects: dict[str, list[Row]] = field(default_factory=lambda: defaultdict(list))
    tasks: list[Row] = field(default_factory=list)
    output: dict[int, list[Record]] = field(default_factory=lambda: defaultdict(list))
    events: list[Row] = field(default_factory=list)
    aliases: list[Row] = field(default_factory=list)
    matchers: list[Row] = field(default_factory=list)
    counters: dict[tuple[str, int], int] = field(default_factory=lambda: defaultdict(int))

    # --- ids

    def next_id(self, kind: str, project: int) -> int:
        """A fresh id: global in SQL, per project on Bolt."""
        key = (kind, project if self.profile.descending_ids else 0)
        self.counters[key] += 1
        return self.counters[key]

    def next_task_id(self) -> int:
        """A fresh task id: growing in SQL, counting down on Bolt."""
        self.counters[("task", 0)] += 1
        count = self.counters[("task", 0)]
        return FIRST_BOLT_TASK - count + 1 if self.profile.descending_ids else count

    # --- users

    def add_user(self, row: Row) -> Row:
        """Store a user."""
        full: Row = {"admin": False, "external": False, "alert": False, "password": "", **row}
        full["id"] = self.next_id("user", 0)
        full["created"] = clock.now()
        self.users.append(full)
        return full

    def user(self, user_id: int) -> Row | None:
        """The user of that id."""
        return next((u for u in self.users if u["id"] == user_id), None)

    def login(self, name: str, password: str) -> Row | None:
        """The user of that login or e-mail address, when the password is right."""
        wanted = name.lower()
        for user in self.users:
            if wanted in (user["username"].lower(), user["email"].lower()):
                return user if user["password"] == password else None
        return None

    def add_token(self, user_id: int, **more: Any) -> Row:
        """A new API token: 44 lower-case characters (API.md section 1.1)."""
        text = secrets.token_urlsafe(32).lower()[:43] + "="
        row: Row = {"id": text, "created": clock.now(), "expired": False, "user_id": user_id, **more}
        self.tokens.append(row)
        return row

    def token_user(self, text: str) -> Row | None:
        """Whose token is it? Bolt goes on accepting revoked ones."""
        for token in self.tokens:
            if token["id"] == text and (not token["expired"] or self.profile.revoked_tokens_live):
                return self.user(token["user_id"])
        return None

    # --- projects

    def add_project(self, row: Row, owner: int) -> Row:
        """Store a project with its key "None" and its environment "Empty"."""
        full: Row = {"alert": False, "alert_chat": None, "max_parallel_tasks": 0, "type": "", **row}
        full["id"] = self.next_id("project", 0)
        full["created"] = clock.now()
        self.projects.append(full)
        self.members[(full["id"], owner)] = "owner"
        self.add("keys", full["id"], {"name": "None", "type": "none"})
        self.add("environment", full["id"], {"name": "Empty", "json": "{}"})
        return full

    def project(self, project_id: int) -> Row | None:
        """The project of that id."""
        return next((p for p in self.projects if p["id"] == project_id), None)

    def audience(self, project_id: int) -> frozenset[int]:
        """Members of the project and all global admins (API.md section 12)."""
        members = {user for project, user in self.members if project == project_id}
        return frozenset(members | {u["id"] for u in self.users if u["admin"]})

    # --- objects of a project

    def add(self, kind: str, project: int, row: Row) -> Row:
        """Store an object of a project."""
        full = {**row, "id": self.next_id(kind, project), "project_id": project}
        self.objects[kind].append(full)
        return full

    def get(self, kind: str, project: int, object_id: int | None) -> Row | None:
        """The object of that kind and id in the project."""
        rows = self.objects[kind]
        return next((r for r in rows if r["id"] == object_id and r["project_id"] == project), None)

    def of_project(self, kind: str, project: int) -> list[Row]:
        """The project's objects, in the store's default order."""
        rows = [r for r in self.objects[kind] if r["project_id"] == project]
        if kind == "views":
            return sorted(rows, key=lambda r: int(r["position"]))
        if kind == "schedules":
            return sorted(rows, key=lambda r: int(r["id"]))
        return sorted(rows, key=lambda r: str(r["name"])) if self.profile.sort_by_name else rows

    def remove(self, kind: str, row: Row) -> None:
        """Forget the object."""
        self.objects[kind].remove(row)

    def groups(self, template: Row) -> list[Row]:
        """The variable groups of a template; later ones override earlier ones."""
        found = [self.get("environment", template["project_id"], each) for each in group_ids(template)]
        return [each for each in found if each is not None]

    # --- tasks

    def task(self, project: int, task_id: int) -> Row | None:
        """The task of that id in the project."""
        return next((t for t in self.tasks if t["id"] == task_id and t["project_id"] == project), None)

    def tasks_of(self, project: int, template: int | None = None) -> list[Row]:
        """The project's tasks, newest first."""
        rows = [t for t in reversed(self.tasks) if t["project_id"] == project]
        return rows if template is None else [t for t in rows if t["template_id"] == template]

    def event(self, project: int, user: int | None, kind: str, object_id: int | None, text: str) -> None:
        """Write one line of the audit feed (API.md section 10)."""
        row = {
            "user_id": user,
            "project_id": project,
            "integration_id": None,
            "object_id": object_id,
            "object_type": kind,
            "description": text,
            "created": clock.now(),
            "object_name": "",
        }
        self.events.append(row)
