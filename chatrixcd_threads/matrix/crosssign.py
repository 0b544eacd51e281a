"""The bot's own cross-signing: it vouches for its device, so that careful clients speak with it.

Three Ed25519 keys (master, self-signing, user-signing) are made once from seeds that stay in the store folder. Every
later device of the bot is signed by the same self-signing key. A master key that somebody else published is never
replaced: that would tell everybody who verified the bot that it is somebody else now.
"""

from __future__ import annotations

import base64
import hashlib
import logging
import os
import secrets
from pathlib import Path
from typing import Any, Final

import msgspec
from Crypto.PublicKey import ECC
from Crypto.Signature import eddsa
from nio import Api

from chatrixcd_threads.matrix.client import GuardedClient
from chatrixcd_threads.matrix.patience import Retry
from chatrixcd_threads.matrix.trust import master_key

log = logging.getLogger("chatrixcd.crosssign")

SEEDS_FILE: Final = "cross-signing.json"


class Seeds(msgspec.Struct, frozen=True):
    """32 bytes each. Whoever has them can vouch for devices in the bot's name."""

    user_id: str
    master: bytes
    self_signing: bytes
    user_signing: bytes


class SigningKey:
    """An Ed25519 key made from a seed."""

    def __init__(self, seed: bytes) -> None:
        self._key = ECC.construct(curve="Ed25519", seed=seed)
        self.public = _base64(self._key.public_key().export_key(format="raw"))

    def signed(self, thing: dict[str, Any], user_id: str) -> dict[str, Any]:
        """The object with this key's signature beside those that it has."""
        plain = {name: value for name, value in thing.items() if name not in ("signatures", "unsigned")}
        signature = _base64(eddsa.new(self._key, "rfc8032").sign(Api.to_canonical_json(plain).encode()))
        return with_signature(thing, user_id, f"ed25519:{self.public}", signature)


def with_signature(thing: dict[str, Any], user_id: str, key_id: str, signature: str) -> dict[str, Any]:
    """The object with one more signature, without its unsigned part."""
    signatures = thing.get("signatures", {})
    merged = signatures | {user_id: signatures.get(user_id, {}) | {key_id: signature}}
    return {name: value for name, value in thing.items() if name != "unsigned"} | {"signatures": merged}


async def vouch(client: GuardedClient, store: Path, password: str) -> None:
    """Publishes the keys and signs this device, as far as that has not been done. What the homeserver refuses is logged.

    Raises Retry when the homeserver cannot answer now: the device should be signed before it sends anything encrypted.
    """
    user_id = client.user_id
    answer = await _asked(client, "keys/query", {"device_keys": {user_id: []}})
    device = answer.get("device_keys", {}).get(user_id, {}).get(client.device_id)
    published = _public(answer.get("master_keys", {}).get(user_id))
    file = seeds_file(store, user_id)
    seeds = _load(file, user_id)
    if device is None:
        log.warning("the homeserver does not show the keys of this device, so it cannot be signed")
        return
    if published is not None and (seeds is None or SigningKey(seeds.master).public != published):
        log.warning(
            "%s already has cross-signing keys that are not in %s, so this device stays unsigned and careful clients "
            "will not speak with it: restore that file, or sign the device from a client of that account",
            user_id,
            file.name,
        )
        return
    if seeds is None:
        seeds = Seeds(user_id, *(secrets.token_bytes(32) for _ in range(3)))
        _save(file, seeds)  # before the upload: what is published without seeds is lost for ever
    if published is None and not await _publish(client, seeds, password):
        return
    await _sign_device(client, seeds, device)


def own_master(client: GuardedClient) -> str | None:
    """The bot's published master key, when it is the one of the seeds in the store folder."""
    seeds = _load(seeds_file(Path(client.store_path), client.user_id), client.user_id)
    known = client.owners.get(client.user_id)
    public = SigningKey(seeds.master).public if seeds else None
    return public if known is not None and known.master == public else None


async def vouch_for(client: GuardedClient, user_id: str, master: str) -> None:
    """Signs somebody's master key, so that every client of the bot's account knows that this person was verified.

    Nobody else can see that signature, and the bot itself goes by the devices that it has verified. Raises Retry.
    """
    seeds = _load(seeds_file(Path(client.store_path), client.user_id), client.user_id)
    if seeds is None or own_master(client) is None:
        return
    found = await _asked(client, "keys/query", {"device_keys": {user_id: []}})
    if master_key(found, user_id) != master:
        log.warning("the homeserver shows another identity of %s now; it is not signed", user_id)
        return
    theirs = {name: value for name, value in found["master_keys"][user_id].items() if name != "signatures"}
    signed = SigningKey(seeds.user_signing).signed(theirs, client.user_id)
    answer = await _asked(client, "keys/signatures/upload", {user_id: {master: signed}})
    if problem := answer.get("error") or answer.get("failures"):
        log.warning("the homeserver did not take the signature on the identity of %s: %s", user_id, problem)


def seeds_file(store: Path, user_id: str) -> Path:
    """Where the seeds of an account are. Those of another account that used this store before are never written over."""
    usual = store / SEEDS_FILE
    try:
        other = msgspec.json.decode(usual.read_bytes(), type=Seeds).user_id
    except (OSError, msgspec.DecodeError):
        return usual
    digest = hashlib.blake2b(user_id.encode(), digest_size=8).hexdigest()
    return usual if other == user_id else usual.with_stem(f"{usual.stem}-{digest}")


async def _publish(client: GuardedClient, seeds: Seeds, password: str) -> bool:
    master = SigningKey(seeds.master)
    body = {"master_key": _key_object(client.user_id, "master", master)}
    for usage, seed in (("self_signing", seeds.self_signing), ("user_signing", seeds.user_signing)):
        body[f"{usage}_key"] = master.signed(_key_object(client.user_id, usage, SigningKey(seed)), client.user_id)
    answer = await _asked(client, "keys/device_signing/upload", body)
    if "session" in answer and password:  # a homeserver that wants to be sure; Synapse does not for the first keys
        identifier = {"type": "m.id.user", "user": client.user_id}
        proof = {"type": "m.login.password", "session": answer["session"], "identifier": identifier}
        answer = await _asked(client, "keys/device_signing/upload", body | {"auth": proof | {"password": password}})
    if "errcode" in answer or "session" in answer:
        log.warning("the homeserver refused the cross-signing keys: %s", answer.get("error", "it wants a person"))
        return False
    log.info("cross-signing keys of %s published", client.user_id)
    return True


async def _sign_device(client: GuardedClient, seeds: Seeds, device: dict[str, Any]) -> None:
    user_id, self_signing = client.user_id, SigningKey(seeds.self_signing)
    signed = self_signing.signed(device, user_id)
    if device.get("signatures") == signed["signatures"]:
        return  # Ed25519 signs the same thing always in the same way
    master = SigningKey(seeds.master)
    plain = _key_object(user_id, "master", master)
    both = {
        client.device_id: signed,
        master.public: with_signature(plain, user_id, f"ed25519:{client.device_id}", client.olm.sign_json(dict(plain))),
    }
    answer = await _asked(client, "keys/signatures/upload", {user_id: both})
    problem = answer.get("error") or answer.get("failures")
    if problem:
        log.warning("the homeserver did not take the signature on this device: %s", problem)
    else:
        log.info("device %s is signed by the bot's own key", client.device_id)


async def _asked(client: GuardedClient, path: str, body: dict[str, Any]) -> dict[str, Any]:
    status, answer = await client.ask("POST", path, body)
    if status == 429 or status >= 500:
        raise Retry(f"{path}: status {status}", answer.get("retry_after_ms", 0) / 1000)
    return answer


def _key_object(user_id: str, usage: str, key: SigningKey) -> dict[str, Any]:
    return {"user_id": user_id, "usage": [usage], "keys": {f"ed25519:{key.public}": key.public}}


def _public(key_object: Any) -> str | None:
    return None if not key_object else str(next(iter(key_object.get("keys", {}).values()), ""))


def _load(path: Path, user_id: str) -> Seeds | None:
    try:
        seeds = msgspec.json.decode(path.read_bytes(), type=Seeds)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as error:
        log.warning("%s cannot be read: %s", path, error)
        return None
    return seeds if seeds.user_id == user_id else None


def _save(path: Path, seeds: Seeds) -> None:
    fresh = path.with_suffix(".new")
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:  # noqa: PTH123 - the mode counts
        file.write(msgspec.json.encode(seeds))
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode().rstrip("=")
