"""Getting and keeping a session: one password login, then the stored token with a fixed device."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import msgspec
from nio import AsyncClient, AsyncClientConfig, KeysQueryResponse, LoginResponse, WhoamiResponse

from chatrixcd_threads.errors import Fatal
from chatrixcd_threads.matrix.client import GuardedClient
from chatrixcd_threads.matrix.crosssign import vouch
from chatrixcd_threads.matrix.patience import Retry
from chatrixcd_threads.matrix.takeover import UNREADABLE, take_over
from chatrixcd_threads.settings.model import MatrixSettings

log = logging.getLogger("chatrixcd.login")

SESSION_FILE = "session.json"
NO_KEYS = AsyncClientConfig(max_limit_exceeded=0, max_timeouts=0, encryption_enabled=False, request_timeout=60)


class Session(msgspec.Struct, frozen=True):
    """What a login gave. Kept in a file of its own (mode 0600), never in the journal."""

    homeserver: str
    user_id: str
    device_id: str
    access_token: str


class LoggedOut(Exception):
    """The homeserver does not accept the token any more (401)."""


async def log_in(settings: MatrixSettings) -> GuardedClient:
    """A client with a session and its keys loaded. Raises Fatal when trying again cannot help, Retry when it can."""
    if settings.auth_type == "oidc":
        raise Fatal("matrix.auth_type oidc is not supported yet: use password, or token with an access token")
    store = Path(settings.store_path)
    store.mkdir(parents=True, exist_ok=True, mode=0o700)
    session = _stored(store, settings) or await _new_session(store, settings)
    fresh = not (store / f"{session.user_id}_{session.device_id}.db").exists()
    client = await _with_keys(settings.homeserver, session, store)
    try:
        if fresh and await _has_other_keys(client) and await _logs_out(client, settings):
            await client.aclose()
            client = await _with_keys(settings.homeserver, await _new_session(store, settings), store)
        await _check_device(client)
        await vouch(client, store, settings.password)
    except BaseException:
        await client.aclose()
        raise
    return client


async def _with_keys(homeserver: str, session: Session, store: Path) -> GuardedClient:
    """The client with its key store open; one of another program is taken over first."""
    client = GuardedClient(homeserver, session.user_id, session.device_id, store)
    try:
        client.restore_login(session.user_id, session.device_id, session.access_token)
    except UNREADABLE:
        await client.aclose()
        take_over(store, session.user_id, session.device_id, client.config.pickle_key)
        client = GuardedClient(homeserver, session.user_id, session.device_id, store)
        client.restore_login(session.user_id, session.device_id, session.access_token)
    return client


def forget(settings: MatrixSettings) -> None:
    """Throws the stored token away, after the homeserver refused it. Keys and device stay."""
    if settings.auth_type == "token":
        raise Fatal("the homeserver does not accept matrix.access_token any more: put a new one into config.json")
    (Path(settings.store_path) / SESSION_FILE).unlink(missing_ok=True)


def _stored(store: Path, settings: MatrixSettings) -> Session | None:
    if settings.auth_type == "token":
        return None
    try:
        session = msgspec.json.decode((store / SESSION_FILE).read_bytes(), type=Session)
    except (OSError, msgspec.DecodeError):
        return None
    same = session.homeserver == settings.homeserver and session.user_id == settings.user_id
    return session if same else None


async def renew(settings: MatrixSettings) -> Session:
    """Tries other settings: a new login whose session is stored, so that the next session begins with it.

    Raises Fatal or Retry when it does not work; then nothing was changed.
    """
    store = Path(settings.store_path)
    if settings.auth_type == "oidc":
        raise Fatal("matrix.auth_type oidc is not supported yet: use password, or token with an access token")
    return await _new_session(store, settings)


async def sign_out(session: Session) -> None:
    """Ends a session that nobody will use: the homeserver forgets its device, with the keys."""
    client = AsyncClient(session.homeserver, session.user_id, session.device_id, config=NO_KEYS)
    client.access_token = session.access_token
    try:
        await client.logout()
    finally:
        await client.close()


async def _new_session(store: Path, settings: MatrixSettings) -> Session:
    """Logs in with a client that has no keys: the key store belongs to the running session alone."""
    client = AsyncClient(settings.homeserver, settings.user_id, settings.device_id, config=NO_KEYS)
    try:
        if settings.auth_type == "token":
            return await _by_token(client, settings)
        response = await client.login(settings.password, settings.device_name)
    finally:
        await client.close()
    if isinstance(response, LoginResponse):
        session = Session(settings.homeserver, response.user_id, response.device_id, response.access_token)
        _save(store / SESSION_FILE, session)
        log.info("logged in as %s, device %s", session.user_id, session.device_id)
        return session
    if response.status_code in ("M_FORBIDDEN", "M_USER_DEACTIVATED", "M_INVALID_PARAM"):
        raise Fatal(
            f"the homeserver refuses to log {settings.user_id} in: {response.message}. "
            "Check matrix.user_id and matrix.password."
        )
    raise Retry(f"login: {response.status_code or response.message}", (response.retry_after_ms or 0) / 1000)


async def _by_token(client: AsyncClient, settings: MatrixSettings) -> Session:
    client.access_token = settings.access_token
    response = await client.whoami()
    if isinstance(response, WhoamiResponse):
        device = response.device_id or settings.device_id
        return Session(settings.homeserver, response.user_id, device, settings.access_token)
    if response.status_code == "M_UNKNOWN_TOKEN":
        raise Fatal("the homeserver does not accept matrix.access_token: put a new one into config.json")
    raise Retry(f"whoami: {response.status_code or response.message}")


async def _has_other_keys(client: GuardedClient) -> bool:
    """Whether the homeserver has keys of our device that are not those in the store."""
    device = (await _own_devices(client)).get(client.device_id)
    return device is not None and device["keys"].get(f"curve25519:{client.device_id}") != _own_key(client)


def _own_key(client: GuardedClient) -> str:
    return str(client.olm.account.identity_keys["curve25519"])


async def _logs_out(client: GuardedClient, settings: MatrixSettings) -> bool:
    """The store is gone. Others would encrypt for keys that nobody has any more, until the last one is used up: a logout
    takes them away, and the next login brings new ones. False when there can be none."""
    if settings.auth_type == "token":
        log.error(
            "the keys of device %s are lost, and some of what is encrypted for it cannot be read: restore the store, or put "
            "the token of a new device into config.json",
            client.device_id,
        )
        return False
    log.warning("the keys of device %s are lost: it is logged out, and begins anew", client.device_id)
    await client.logout()
    forget(settings)
    return True


async def _own_devices(client: GuardedClient) -> dict[str, Any]:
    client.olm.users_for_key_query.add(client.user_id)
    response = await client.keys_query()
    if not isinstance(response, KeysQueryResponse):
        if getattr(response, "status_code", "") == "M_UNKNOWN_TOKEN":
            raise LoggedOut
        raise Retry(f"keys/query: {response}")
    devices: dict[str, Any] = response.device_keys.get(client.user_id, {})
    return devices


async def _check_device(client: GuardedClient) -> None:
    """After a logout the server has no keys of our device, while nio believes that they were uploaded."""
    if client.device_id not in await _own_devices(client):
        client.olm.account.shared = False
        client.olm.save_account()
    if client.should_upload_keys:
        await client.keys_upload()


def _save(path: Path, session: Session) -> None:
    fresh = path.with_suffix(".new")
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:  # noqa: PTH123 - the mode counts
        file.write(msgspec.json.encode(session))
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
