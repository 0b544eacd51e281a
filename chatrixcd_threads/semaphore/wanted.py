"""What a person wants of one run besides its template. Plain values: it is journaled with the question."""

from __future__ import annotations

from typing import Final

import msgspec

ANSIBLE: Final = frozenset({"", "ansible"})
TERRAFORM: Final = frozenset({"terraform", "tofu", "terragrunt"})


class Wanted(msgspec.Struct, frozen=True, omit_defaults=True):
    """Nothing given is nothing sent: an empty list would clear the template's own (NEWER.md 1.5)."""

    limit: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    skip_tags: tuple[str, ...] = ()
    branch: str = ""
    inventory: int | None = None
    variables: dict[str, str] = {}
    message: str = ""
    debug: int = 0  # 0 = not asked for, else 1 to 6
    dry_run: bool = False
    diff: bool = False
    arguments: tuple[str, ...] = ()
    destroy: bool = False
    auto_approve: bool = False
    upgrade: bool = False
    reconfigure: bool = False
    build: int | None = None  # the task whose build is deployed
    secrets: tuple[str, ...] = ()  # names only: the values are in the vault


def family(app: str) -> str:
    """ansible, terraform or script: what decides how options reach a job."""
    return "ansible" if app in ANSIBLE else "terraform" if app in TERRAFORM else "script"
