"""What a fresh server holds: a dictionary in the form of the recordings' setup.json, loaded in its order."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from chatrixcd_threads.demo.semaphore.store import Row, Store

REPO = Path(__file__).parent.parent / "repo"
PASSWORD = "demo-password"
_TERRAFORM = ("terraform", "tofu", "terragrunt")


class BadContentError(ValueError):
    """The content names an object that is not there."""


def add_environment(store: Store, project: int, row: Row) -> Row:
    """Store a variable group; its secrets are keys and use up ids of keys."""
    kept = [
        {"id": store.next_id("keys", project), **{k: s.get(k, "") for k in ("name", "type", "secret")}}
        for s in row.get("secrets") or []
    ]
    return store.add("environment", project, {**row, "secrets": kept})


def add_template(store: Store, project: int, row: Row) -> Row:
    """Store a template; one for Terraform without inventory gets an inventory of its own."""
    full = {"name": "", "playbook": "", "type": "", "app": "", "repository_id": 0, **row}
    made = store.add("templates", project, full)
    if made["app"] in _TERRAFORM and made.get("inventory_id") is None:
        own: Row = {"name": f"{made['name']} - default", "inventory": "default", "type": f"{made['app']}-workspace"}
        made["inventory_id"] = store.add("inventory", project, {**own, "holder": made["id"]})["id"]
    return made


class Loader:
    """Fills a store."""

    def __init__(self, store: Store, content: Mapping[str, Any]) -> None:
        self.store = store
        self.content = content
        self.tokens: dict[str, str] = {}

    def load(self) -> dict[str, str]:
        """Load everything; gives the API token of each user, by `as` and by login."""
        self._users()
        admin = self.store.users[0]["id"]
        for project in self.content["projects"]:
            self.store.add_project(project, admin)
        if not self.store.projects:
            return self.tokens
        first = self.store.projects[0]["id"]
        self._members(first)
        for kind in ("keys", "repositories", "inventory"):
            for row in self.content.get(kind, []):
                self.store.add(kind, first, self._resolved(row, first))
        for row in self.content.get("environment", []):
            add_environment(self.store, first, self._resolved(row, first))
        for row in self.content.get("views", []):
            self.store.add("views", first, dict(row))
        self._templates(first)
        if len(self.store.projects) > 1:
            self._private(self.store.projects[1]["id"])
        for row in self.content.get("schedules", []):
            made = self.store.add("schedules", first, self._resolved(row, first))
            self.store.event(first, admin, "schedule", made["id"], f"Schedule ID {made['id']} created")
        return self.tokens

    def _users(self) -> None:
        for entry in self.content["users"]:
            password = entry.get("password", PASSWORD)
            row = {
                "username": entry["login"],
                "password": password,
                **{k: entry[k] for k in ("name", "email", "admin")},
            }
            user = self.store.add_user(row)
            token = self.store.add_token(user["id"])["id"]
            self.tokens[entry["as"]] = self.tokens[entry["login"]] = token

    def _members(self, project: int) -> None:
        for entry, user in zip(self.content["users"], self.store.users, strict=False):
            if entry.get("role"):
                self.store.members[(project, user["id"])] = entry["role"]

    def _templates(self, project: int) -> None:
        defaults = self.content.get("template_defaults", {})
        newer = self.content.get("profile_2.16", {}) if self.store.profile.params else {}
        changes = newer.get("template_changes", {})
        for row in [*self.content.get("templates", []), *newer.get("templates", [])]:
            full = self._resolved({**defaults, **row, **changes.get(row["name"], {})}, project)
            made = add_template(self.store, project, full)
            admin = self.store.users[0]["id"]
            self.store.event(project, admin, "schedule", made["id"], f"Template ID {made['id']} created")

    def _private(self, project: int) -> None:
        rows = self.content.get("private_templates", [])
        if not rows:
            return
        key = self._reference("@key:None", project)
        source = {**self.content["repositories"][0], "ssh_key_id": key}
        repository = self.store.add("repositories", project, source)
        empty = self._reference("@environment:Empty", project)
        for row in rows:
            add_template(self.store, project, {**row, "repository_id": repository["id"], "environment_id": empty})

    def _resolved(self, row: Mapping[str, Any], project: int) -> Row:
        return {key: self._reference(value, project) for key, value in row.items()}

    def _reference(self, value: Any, project: int) -> Any:
        """`@kind:name` becomes the id of that object."""
        if not isinstance(value, str) or not value.startswith("@"):
            return value
        word, _, name = value[1:].partition(":")
        kind = {"key": "keys", "repository": "repositories", "view": "views", "template": "templates"}.get(word, word)
        for row in self.store.objects[kind]:
            if row["project_id"] == project and name in (row.get("name"), row.get("title")):
                return row["id"]
        raise BadContentError(f"{value} is not in the content")


def demo() -> dict[str, Any]:
    """The embedded content: two projects, seven templates, five users."""
    survey = [
        {"name": "who", "title": "Who", "description": "whom to greet", "type": "", "required": True},
        {"name": "count", "title": "Count", "description": "how often", "type": "int", "required": False},
        {
            "name": "env",
            "title": "Environment",
            "type": "enum",
            "required": True,
            "values": [{"name": "Staging", "value": "stg"}, {"name": "Production", "value": "prd"}],
        },
    ]
    local = "[web]\nweb1\nweb2\n\n[db]\ndb1\n\n[all:vars]\nansible_connection=local\n"
    ops, infra = {"view_id": "@view:Ops"}, {"view_id": "@view:Infra"}
    marks = {"LANG": "C.UTF-8", "ANSIBLE_CHECK_MODE_MARKERS": "1"}  # so that a dry run can be verified
    site_params = {
        "allow_override_limit": True,
        "allow_override_tags": True,
        "allow_override_skip_tags": True,
        "allow_debug": True,
    }
    return {
        "users": _demo_users(),
        "projects": [{"name": "Demo"}, {"name": "Private"}],
        "keys": [],
        "repositories": [{"name": "demo", "git_url": "demo", "git_branch": "main", "ssh_key_id": "@key:None"}],
        "inventory": [{"name": "three hosts", "type": "static", "ssh_key_id": "@key:None", "inventory": local}],
        "environment": [{"name": "common", "json": '{"color":"blue"}', "env": json.dumps(marks)}],
        "views": [{"title": "Ops", "position": 0}, {"title": "Infra", "position": 1}],
        "template_defaults": {"repository_id": "@repository:demo", "environment_id": "@environment:common"},
        "templates": [
            {"name": "Hello", "app": "bash", "playbook": "hello.sh", "description": "says hello", **ops},
            {"name": "Deploy web", "app": "bash", "playbook": "deploy-web.sh", "description": "three steps", **ops},
            {
                "name": "Long job",
                "app": "bash",
                "playbook": "long-job.sh",
                "description": "ticks for a minute",
                "allow_override_args_in_task": True,
                **ops,
            },
            {
                "name": "Broken deploy",
                "app": "bash",
                "playbook": "broken-deploy.sh",
                "description": "always fails",
                **ops,
            },
            {"name": "Survey", "app": "bash", "playbook": "survey.sh", "survey_vars": survey, **ops},
            {
                "name": "Site",
                "app": "ansible",
                "playbook": "site.yml",
                "inventory_id": "@inventory:three hosts",
                "task_params": site_params,
                **ops,
            },
            {
                "name": "Infra",
                "app": "terraform",
                "playbook": "infra",
                "description": "asks before it applies",
                **infra,
            },
        ],
        "private_templates": [{"name": "Hidden", "app": "bash", "playbook": "hello.sh"}],
        "folders": {"demo": str(REPO)},
    }


def _demo_users() -> list[Row]:
    rows = (
        ("admin", "admin", "Admin", True, None),
        ("runner", "chatops", "ChatOps bot", False, "task_runner"),
        ("guest", "gwen", "Gwen Guest", False, "guest"),
        ("manager", "max", "Max Manager", False, "manager"),
        ("outsider", "otto", "Otto Outside", False, None),
    )
    return [
        {"as": who, "login": login, "name": name, "email": f"{login}@example.org", "admin": admin, "role": role}
        for who, login, name, admin, role in rows
    ]
