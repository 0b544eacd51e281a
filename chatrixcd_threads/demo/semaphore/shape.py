"""Rows as the API shows them, by profile (API.md sections 2 to 5, 10, 13, 14; NEWER.md sections 2 and 3)."""

from typing import Any

from chatrixcd_threads.demo.semaphore import clock
from chatrixcd_threads.demo.semaphore.profile import Profile
from chatrixcd_threads.demo.semaphore.store import Record, Row, Store, group_ids

_TASK_OLD = (
    ("debug", False),
    ("dry_run", False),
    ("diff", False),
    ("playbook", ""),
    ("environment", ""),
    ("limit", ""),
    ("arguments", None),
    ("git_branch", None),
    ("user_id", None),
    ("integration_id", None),
    ("schedule_id", None),
    ("message", ""),
    ("commit_hash", None),
    ("commit_message", ""),
    ("build_task_id", None),
    ("version", None),
    ("inventory_id", None),
)
_TASK_NEW = (
    "environment",
    "arguments",
    "git_branch",
    "user_id",
    "integration_id",
    "schedule_id",
    "message",
    "commit_hash",
    "commit_message",
    "build_task_id",
    "version",
    "inventory_id",
    "params",
)
_TEMPLATE_OLD: tuple[tuple[str, Any], ...] = (
    ("inventory_id", None),
    ("repository_id", 0),
    ("environment_id", None),
    ("name", ""),
    ("playbook", ""),
    ("arguments", None),
    ("allow_override_args_in_task", False),
    ("description", None),
    ("type", ""),
    ("start_version", None),
    ("build_template_id", None),
    ("view_id", None),
    ("autorun", False),
    ("git_branch", None),
    ("suppress_success_alerts", False),
    ("app", ""),
)
_TEMPLATE_NEW_FIXED = ("repository_id", "name", "playbook")
_TEMPLATE_NEW = (
    "inventory_id",
    "environment_id",
    "arguments",
    "allow_override_args_in_task",
    "allow_override_branch_in_task",
    "allow_parallel_tasks",
    "description",
    "type",
    "start_version",
    "build_template_id",
    "view_id",
    "autorun",
    "git_branch",
    "suppress_success_alerts",
    "app",
    "task_params",
    "runner_tag",
)
_LIST_HIDES = ("autorun", "suppress_success_alerts")
_SURVEY = (("name", ""), ("title", ""), ("required", False), ("type", ""), ("description", ""), ("values", None))
_APPS = ("ansible", "terraform", "terragrunt", "tofu", "bash", "powershell", "python")
_PRIORITY = {"terragrunt": 850, "ansible": 1000, "terraform": 900, "tofu": 800, "bash": 700}
_ACTIVE = ("ansible", "terraform", "bash")


def apps(profile: Profile) -> list[Row]:
    """The apps, highest priority first (API.md section 2.7)."""
    names = [a for a in _APPS if a != "terragrunt" or profile.newer_routes]
    fixed: Row = {"title": "", "icon": "", "color": "", "dark_color": "", "path": "", "args": None}
    priority = {**_PRIORITY, "powershell": 600, "python": 500}
    rows = [{"active": n in _ACTIVE, "priority": priority[n], **fixed, "id": n} for n in names]
    return sorted(rows, key=lambda r: -r["priority"])


class Shaper:
    """Makes the JSON objects of one server."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.profile = store.profile

    # --- times

    def stamp(self, value: int | None) -> str | None:
        """A stored time. PostgreSQL keeps microseconds."""
        if value is None or value < 0:
            return None if value is None else clock.ZERO
        if self.profile.local_times:
            return clock.local(value)
        return clock.utc(value, 9 if self.profile.omit_empty else 6)

    def frame_stamp(self, value: int | None) -> str | None:
        """A time in a websocket frame."""
        if value is None:
            return None
        return clock.local(value) if self.profile.local_frames else clock.utc(value)

    # --- users and projects

    def user(self, row: Row) -> Row:
        """A full user object."""
        made: Row = {
            "id": row["id"],
            "created": clock.utc(row["created"], 0),
            **{key: row[key] for key in ("username", "name", "email", "admin", "external", "alert")},
        }
        if self.profile.newer_routes:
            made["pro"] = False
        return made

    def stranger(self, row: Row) -> Row:
        """What 2.16 shows of somebody else's user object."""
        blank = {"created": clock.ZERO, "email": "", "admin": False, "alert": False}
        return {**self.user(row), **blank}

    def caller(self, row: Row) -> Row:
        """`GET /user`."""
        made = {**self.user(row), "can_create_project": row["admin"]}
        if self.profile.newer_routes:
            made["has_active_subscription"] = False
        return made

    def project(self, row: Row) -> Row:
        """A project object."""
        made: Row = {"id": row["id"], "name": row["name"], "created": self.stamp(row["created"]), "type": row["type"]}
        rest = {key: row[key] for key in ("alert", "alert_chat", "max_parallel_tasks")}
        if self.profile.omit_empty:
            return {**made, **{k: v for k, v in rest.items() if v}}
        if self.profile.foreign_keys and rest["alert_chat"] is None:
            rest["alert_chat"] = ""
        return {**made, **rest}

    def event(self, row: Row) -> Row:
        """An event with the names of project and user."""
        project = self.store.project(row["project_id"])
        user = self.store.user(row["user_id"] or 0)
        return {
            **row,
            "created": self.stamp(row["created"]),
            "project_name": project["name"] if project else None,
            "username": user["username"] if user else None,
        }

    # --- tasks

    def task(self, row: Row, *, posted: bool = False) -> Row:
        """A task as the single GET shows it, or as the POST answers it."""
        head = {key: row[key] for key in ("id", "template_id", "project_id", "status")}
        times = {key: self.stamp(row[key]) for key in ("created", "start", "end")}
        if not self.profile.omit_empty:
            body = {key: row.get(key, default) for key, default in _TASK_OLD}
            return {**head, **body, **times, "secret": "{}" if posted else ""}
        body = {key: row[key] for key in _TASK_NEW if row.get(key) not in (None, "")}
        shown = {key: value for key, value in times.items() if value}
        made = {**head, "playbook": row.get("playbook", ""), "limit": row.get("limit", "") if posted else "", **body}
        return {**made, **shown, **({"secret": "{}"} if posted and self.profile.post_secret else {})}

    def listed(self, row: Row, *, bare: bool = False) -> Row:
        """A task as the lists show it, with fields of its template. `bare`: as in Bolt's template list."""
        made = self.task(row)
        template = self.store.get("templates", row["project_id"], row["template_id"]) or {}
        user = self.store.user(row.get("user_id") or 0)
        build = self._build_task(row)
        extra: Row = {
            "tpl_playbook": template.get("playbook", ""),
            "tpl_alias": template.get("name", ""),
            "tpl_type": template.get("type", ""),
            "tpl_app": template.get("app", ""),
            "user_name": user["name"] if user else None,
            "build_task": build,
        }
        if bare:
            extra.update(user_name=None, build_task=None)
        if self.profile.omit_empty:
            extra = {key: value for key, value in extra.items() if value not in (None, "")}
        return {**made, **extra}

    def _build_task(self, row: Row) -> Row | None:
        if row.get("build_task_id") is None:
            return None
        build = self.store.task(row["project_id"], row["build_task_id"])
        return self.task(build) if build else None

    def record(self, task_id: int, record: Record) -> Row:
        """One record of the output (API.md section 11)."""
        text = record.text.encode("utf-8", "replace").decode()
        if self.profile.output_ids:
            made = {"id": 0, "task_id": task_id, "time": clock.utc(record.time, 6), "output": text}
            return {**made, "stage_id": None} if self.profile.stage_ids else made
        return {"task_id": task_id, "task": "", "time": self.stamp(record.time), "output": text}

    # --- templates

    def survey(self, variables: list[Row] | None) -> list[Row] | None:
        """Survey variables; the newer versions leave out what is empty."""
        if variables is None:
            return None
        if not self.profile.omit_empty:
            return [{key: var.get(key, default) for key, default in _SURVEY} for var in variables]
        kept = ("required", "type", "description", "values", "default_value")
        return [
            {"name": var.get("name", ""), "title": var.get("title", "")} | {k: var[k] for k in kept if var.get(k)}
            for var in variables
        ]

    def template(self, row: Row, *, listed: bool = False, posted: bool = False, bits: int = 0) -> Row:
        """A template of a list, of the single GET, or of a POST's answer; `bits` are the caller's rights."""
        last = None if posted else self._last_task(row, listed=listed)
        count = len(self.store.tasks_of(row["project_id"], row["id"])) if self.profile.count_tasks and not posted else 0
        head = {"id": row["id"], "project_id": row["project_id"]}
        if self.profile.omit_empty:
            made = {**head, **self._template_new(row, listed=listed), "tasks": count}
            if self.profile.template_permissions and not posted:
                made["permissions"] = bits
            return {**made, "last_task": last} if last else made
        shown = {key: row.get(key, default) for key, default in _TEMPLATE_OLD}
        bolt = self.profile.full_lists
        hidden = listed and not bolt
        if hidden:
            shown.update(autorun=False, suppress_success_alerts=False)
        survey = None if hidden else self.survey(row.get("survey_vars"))
        no_vaults = listed or (posted and not bolt)
        vaults = None if no_vaults else row.get("vaults") or []
        return {**head, **shown, "survey_vars": survey, "vaults": vaults, "last_task": last, "tasks": count}

    def _template_new(self, row: Row, *, listed: bool) -> Row:
        shown = {key: row.get(key) for key in _TEMPLATE_NEW_FIXED}
        shown.update({key: row[key] for key in _TEMPLATE_NEW if row.get(key)})
        if listed:
            for key in _LIST_HIDES:
                shown.pop(key, None)
        if self.profile.group_lists:
            several = group_ids(row)
            shown.update(environment_ids=several, environment_id=several[0] if several else 0)
        if row.get("survey_vars"):
            shown["survey_vars"] = self.survey(row["survey_vars"])
        if row.get("vaults"):
            shown["vaults"] = row["vaults"]
        return shown

    def _last_task(self, row: Row, *, listed: bool) -> Row | None:
        tasks = self.store.tasks_of(row["project_id"], row["id"])
        bare = listed and not self.profile.count_tasks
        return self.listed(tasks[0], bare=bare) if tasks else None

    # --- other objects

    def key(self, row: Row, *, posted: bool = False) -> Row:
        """A key; its secrets are always blank."""
        made: Row = {
            **{name: row[name] for name in ("id", "name", "type", "project_id")},
            "string": "",
            "login_password": {"login": "", "password": ""},
            "ssh": {"login": "", "passphrase": "", "private_key": ""},
        }
        if self.profile.key_override:
            made["override_secret"] = False
        if self.profile.key_empty and row["type"] == "none" and not posted:
            made["empty"] = True
        return made

    def environment(self, row: Row, *, single: bool = False) -> Row:
        """A variable group. Only the single GET lists the names of its secrets."""
        made = {key: row.get(key) for key in ("id", "name", "project_id", "password", "json", "env")}
        secrets = [
            {"id": s["id"], "type": s["type"], "name": s["name"], "secret": "", "operation": ""}
            for s in row.get("secrets") or []
        ]
        if single and (secrets or not self.profile.omit_empty):
            made["secrets"] = secrets or None
        elif not self.profile.omit_empty:
            made["secrets"] = None
        return made

    def inventory(self, row: Row) -> Row:
        """An inventory."""
        fields = ("id", "name", "project_id", "inventory", "ssh_key_id", "become_key_id", "type", "repository_id")
        made = {key: row.get(key) for key in fields}
        made[self.profile.inventory_holder] = row.get("holder")
        return made

    def schedule(self, row: Row, *, listed: bool = False, posted: bool = False) -> Row:
        """A schedule. 2.16 shows `task_params` once, in the answer of the POST, and never stores them."""
        fields = ("id", "project_id", "template_id", "cron_format", "name", "active")
        made = {**{key: row[key] for key in fields}, "repository_id": None}
        if self.profile.params:
            made["task_params"] = row.get("echoed", {}) if posted else {}
        if listed:
            template = self.store.get("templates", row["project_id"], row["template_id"])
            made["tpl_name"] = template["name"] if template else ""
        return made

    def plain(self, kind: str, row: Row) -> Row:
        """Repositories, views and integrations."""
        fields = {
            "repositories": ("id", "name", "project_id", "git_url", "git_branch", "ssh_key_id"),
            "views": ("id", "project_id", "title", "position"),
            "integrations": (
                "id",
                "name",
                "project_id",
                "template_id",
                "auth_method",
                "auth_secret_id",
                "auth_header",
                "searchable",
            ),
        }[kind]
        made = {key: row.get(key) for key in fields}
        if kind == "integrations" and not self.profile.omit_empty:
            made["task_params"] = None
        return made
