"""Answers of the homeserver, looked through before nio sees them.

Keys in them were uploaded by other people. nio lets one junk key end the whole answer, and with it the sync or the
sending; here only the device that it belongs to is left out. The same goes for events that no server should hand out.
"""

from __future__ import annotations

import json
import logging
import re
from typing import Any, Final

from vodozemac import Curve25519PublicKey, Ed25519PublicKey, Ed25519Signature

log = logging.getLogger("chatrixcd.matrix")

_HALVES: Final = re.compile(rb"\\u[dD][89a-fA-F]")  # also those of whole pairs


def whole_characters(data: bytes) -> Any:
    """The JSON in an answer. Half characters (one of a surrogate pair alone), which nothing can store or send, are question
    marks then: in the name of one device they would end the handling of the whole answer. Raises ValueError."""
    value = json.loads(data.decode("utf-8-sig", "replace"))  # by itself json lets halves through that are not escaped
    if not _HALVES.search(data):
        return value
    return json.loads(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))


def vetted(body: dict[str, Any]) -> dict[str, Any]:
    """The body of an answer, without the devices, one-time keys and events in it that cannot be used."""
    for field, usable in (("device_keys", usable_device), ("one_time_keys", usable_one_time_key)):
        if isinstance(body.get(field), dict):
            body[field] = {user: _usable(user, devices, usable) for user, devices in body[field].items()}
    for infos in _dict(body.get("rooms")).values():
        for info in _dict(infos).values():
            for part in ("timeline", "state", "invite_state"):
                if "events" in _dict(_dict(info).get(part)):
                    info[part]["events"] = _readable(info[part]["events"])
    return body


def _readable(events: object) -> list[Any]:
    """Those with the frame that every event has; what stands in the content, nio copes with."""
    return [event for event in events if _framed(event)] if isinstance(events, list) else []


def _framed(event: object) -> bool:
    if not isinstance(event, dict) or not isinstance(event.get("content"), dict):
        return False
    names = (event.get(name, "") for name in ("type", "sender", "event_id", "state_key"))
    at, unsigned = event.get("origin_server_ts", 0), event.get("unsigned", {})
    if not (_texts(names) and isinstance(at, int) and 0 <= at < 2**63 and isinstance(unsigned, dict)):
        return False
    return isinstance(unsigned.get("prev_content", {}), dict)


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _usable(user_id: str, devices: object, usable: Any) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for device_id, keys in devices.items() if isinstance(devices, dict) else ():
        try:
            good = bool(usable(user_id, device_id, keys))
        except (ValueError, TypeError, KeyError, AttributeError):  # vodozemac's errors are ValueErrors
            good = False
        if good:
            kept[device_id] = keys
        else:
            log.warning("the keys of device %s of %s are junk; it is left out", device_id, user_id)
    return kept


def usable_device(user_id: str, device_id: str, keys: dict[str, Any]) -> bool:
    """Whether nio can work with a device object of /keys/query. Raises what junk makes it raise."""
    Ed25519PublicKey.from_base64(keys["keys"][f"ed25519:{device_id}"])
    Curve25519PublicKey.from_base64(keys["keys"][f"curve25519:{device_id}"])
    Ed25519Signature.from_base64(keys["signatures"][user_id][f"ed25519:{device_id}"])
    named = keys["user_id"] == user_id and keys["device_id"] == device_id
    unsigned = keys.get("unsigned", {})
    return named and isinstance(unsigned, dict) and _texts(keys["algorithms"]) and _texts(keys["keys"].values())


def usable_one_time_key(user_id: str, device_id: str, keys: dict[str, Any]) -> bool:
    """The same for what /keys/claim gives for one device; nio takes the first key in it."""
    key: dict[str, Any] = next(iter(keys.values()), {})
    Curve25519PublicKey.from_base64(key["key"])
    Ed25519Signature.from_base64(key["signatures"][user_id][f"ed25519:{device_id}"])
    return True


def _texts(values: Any) -> bool:
    return all(isinstance(each, str) for each in values)
