"""Whose device, whose identity: the chain from a device to its owner's master key, and the pin on that key.

The first master key of a person is remembered (trust on first use). When it changes later, either that person reset
their identity or a homeserver made one up in their name; only a human can tell which.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from nio import Api
from vodozemac import Ed25519PublicKey, Ed25519Signature

from chatrixcd_threads.journal.db import get_meta, set_meta


class Identity(StrEnum):
    """What is known of somebody's cross-signing identity."""

    NONE = "none"  # no cross-signing, now or ever: nothing to compare
    PINNED = "pinned"  # the same as at the first time, or seen for the first time just now
    CHANGED = "changed"  # another one than at the first time, or gone: a person must look


def identity(tx: sqlite3.Connection, user_id: str, master: str | None) -> Identity:
    """Compares with the pin, and pins at the first use. `master` is the public key that the homeserver shows now."""
    pinned = get_meta(tx, pin_key(user_id))
    if pinned is None and master is not None:
        set_meta(tx, pin_key(user_id), master)
        return Identity.PINNED
    if pinned is None:
        return Identity.NONE
    return Identity.PINNED if pinned == (master or "") else Identity.CHANGED


def changed_identities(tx: sqlite3.Connection, masters: Mapping[str, str | None]) -> list[str]:
    """People whose identity is another one than at the first time. The new one is pinned, so that this is told once."""
    changed = [user for user, master in masters.items() if identity(tx, user, master) is Identity.CHANGED]
    for user in changed:
        set_meta(tx, pin_key(user), masters[user] or "")
    return changed


def pin_key(user_id: str) -> str:
    """The journal's meta key; to forget a pin after an admin has looked, delete this row."""
    return f"pin:{user_id}"


@dataclass(frozen=True, slots=True)
class Owner:
    """What a person's own cross-signing says: the public master key, and the devices that it vouches for, with their keys."""

    master: str | None
    devices: frozenset[str]
    keys: frozenset[str] = frozenset()  # Curve25519: a name alone could be given to another device


def owner(answer: dict[str, Any], user_id: str) -> Owner:
    """The same chain as `chain_holds`, for all devices of somebody in a raw answer of /keys/query."""
    master, self_signing = master_key(answer, user_id), _dict(_dict(answer.get("self_signing_keys")).get(user_id))
    between = _only_key(self_signing)
    if master is None or between is None or not signed_by(self_signing, user_id, master, master):
        return Owner(master, frozenset())
    devices = _dict(_dict(answer.get("device_keys")).get(user_id))
    vouched = {name: each for name, each in devices.items() if signed_by(each, user_id, between, between)}
    keys = frozenset(str(_dict(each.get("keys")).get(f"curve25519:{name}")) for name, each in vouched.items())
    return Owner(master, frozenset(vouched), keys)


def master_key(answer: dict[str, Any], user_id: str) -> str | None:
    """The public master key in a raw answer of /keys/query."""
    return _only_key(_dict(answer.get("master_keys")).get(user_id))


def chain_holds(answer: dict[str, Any], user_id: str, device_id: str) -> bool:
    """Whether the device is signed by the self-signing key, and that one by the master key (raw answer of /keys/query)."""
    master, self_signing = master_key(answer, user_id), answer.get("self_signing_keys", {}).get(user_id)
    device = answer.get("device_keys", {}).get(user_id, {}).get(device_id)
    between = _only_key(self_signing)
    if master is None or between is None or device is None:
        return False
    return signed_by(self_signing, user_id, master, master) and signed_by(device, user_id, between, between)


def signed_by(thing: dict[str, Any], user_id: str, key_name: str, public: str) -> bool:
    """Whether the object carries a good signature by this Ed25519 key."""
    plain = {name: value for name, value in thing.items() if name not in ("signatures", "unsigned")}
    try:
        signature = Ed25519Signature.from_base64(thing["signatures"][user_id][f"ed25519:{key_name}"])
        Ed25519PublicKey.from_base64(public).verify_signature(Api.to_canonical_json(plain).encode(), signature)
    except (ValueError, KeyError, TypeError):  # vodozemac's errors are ValueErrors
        return False
    return True


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _only_key(key_object: Any) -> str | None:
    keys = key_object.get("keys") if isinstance(key_object, dict) else None
    values = list(keys.values()) if isinstance(keys, dict) else []
    return values[0] if len(values) == 1 and isinstance(values[0], str) else None
