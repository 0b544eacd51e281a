"""A real Synapse on loopback, as a child process with SQLite in a folder of its own."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import random
import secrets
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Self

import requests

from chatrixcd_threads.demo.botprocess import end, spawn, tail

HOST = "127.0.0.1"
# Below the range from which Linux takes the near ends of outgoing connections: nobody gets our port by chance while
# the server is stopped for a while.
_PORTS = range(20_000, 32_000)
_POLL = 0.02
_PLENTY = {"per_second": 100_000, "burst_count": 100_000}
_NO_LIMITS: dict[str, Any] = {
    "rc_message": _PLENTY,
    "rc_registration": _PLENTY,
    "rc_registration_token_validity": _PLENTY,
    "rc_login": {"address": _PLENTY, "account": _PLENTY, "failed_attempts": _PLENTY},
    "rc_admin_redaction": _PLENTY,
    "rc_joins": {"local": _PLENTY, "remote": _PLENTY},
    "rc_joins_per_room": _PLENTY,
    "rc_key_requests": _PLENTY,
    "rc_3pid_validation": _PLENTY,
    "rc_invites": {"per_room": _PLENTY, "per_user": _PLENTY, "per_issuer": _PLENTY},
    "rc_third_party_invite": _PLENTY,
    "rc_media_create": _PLENTY,
    "rc_presence": {"per_user": _PLENTY},
    "rc_delayed_event_mgmt": _PLENTY,
    "rc_room_creation": _PLENTY,
    "rc_reports": _PLENTY,
    "rc_user_directory": _PLENTY,
    "rc_profile": _PLENTY,
}


class HomeserverError(RuntimeError):
    """Synapse did not do what was asked; the text holds the end of its log."""


class _PortTakenError(HomeserverError):
    """Somebody else listens where Synapse was to listen."""


@dataclass(frozen=True)
class Account:
    user_id: str
    password: str
    access_token: str
    device_id: str


class Homeserver:
    """Synapse in a folder. One thread at a time may start, stop and kill it; `register` may be called from any.

    With a folder of one's own the data stay; without one a temporary folder lasts as long as the `with` block.
    `message_rate` limits sending alone (per second, burst); `rate_limits` are all of Synapse's defaults.
    `extra` is merged into homeserver.yaml. Start it on the main thread if it must die with a killed parent.
    """

    server_name = "localhost"

    def __init__(
        self,
        folder: Path | None = None,
        *,
        rate_limits: bool = False,
        port: int = 0,
        message_rate: tuple[float, int] | None = None,
        extra: Mapping[str, Any] | None = None,
        start_timeout: float = 90.0,
    ) -> None:
        self._own_folder = folder is None
        self.folder = Path(tempfile.mkdtemp(prefix="chatrixcd-synapse-")) if folder is None else folder.resolve()
        self._limits: dict[str, Any] = {} if rate_limits else dict(_NO_LIMITS)
        if message_rate is not None:
            self._limits["rc_message"] = {"per_second": message_rate[0], "burst_count": message_rate[1]}
        self._extra = dict(extra or {})
        self._start_timeout = start_timeout
        self._wanted_port = port
        self._port = port
        self._claim: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._secrets: dict[str, str] = {}

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def url(self) -> str:
        if not self._port:
            raise RuntimeError("the homeserver was not started yet")
        return f"http://{HOST}:{self._port}"

    @property
    def port(self) -> int:
        return self._port

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    @property
    def log_file(self) -> Path:
        return self.folder / "synapse.log"

    def start(self) -> None:
        """Start it and wait until it answers: for the first time, or again with the same data on the same port."""
        if self.pid is not None:
            return
        first = not self._secrets
        if first:
            self._secrets = self._prepare()
        deadline = time.monotonic() + self._start_timeout
        while True:
            if first and not self._wanted_port:
                self._take_free_port()
            try:
                self._launch(deadline)
            except _PortTakenError:
                # Our own last life may still be closing; a fixed port gets a moment, a free one is chosen anew.
                if time.monotonic() > deadline - self._start_timeout / 2:
                    raise
                time.sleep(0.2)
            else:
                return

    def stop(self) -> None:
        """End it in good order; `start()` goes on with the same data on the same port."""
        self._finish(grace=10.0)

    def kill(self) -> None:
        """End it as a power cut would."""
        self._finish(grace=0)

    def close(self) -> None:
        """End it and, if the folder was a temporary one, leave nothing behind."""
        self._finish(grace=0 if self._own_folder else 10.0)
        if self._claim is not None:
            self._claim.close()
            self._claim = None
        if self._own_folder:
            shutil.rmtree(self.folder, ignore_errors=True)

    def register(self, name: str, password: str, admin: bool = False) -> Account:
        """Make an account through the shared-secret door of the admin API; also signs its first device in."""
        address = f"{self.url}/_synapse/admin/v1/register"
        with requests.Session() as session:
            session.trust_env = False
            answer = session.get(address, timeout=15)
            answer.raise_for_status()
            nonce = answer.json()["nonce"]
            parts = (nonce, name, password, "admin" if admin else "notadmin")
            key = self._secrets["registration_shared_secret"].encode()
            mac = hmac.new(key, "\0".join(parts).encode(), hashlib.sha1).hexdigest()
            body = {"nonce": nonce, "username": name, "password": password, "admin": admin, "mac": mac}
            answer = session.post(address, json=body, timeout=15)
        if answer.status_code != 200:
            raise HomeserverError(f"Synapse refused to make the account {name}: {answer.text}")
        made = answer.json()
        return Account(made["user_id"], password, made["access_token"], made["device_id"])

    def _prepare(self) -> dict[str, str]:
        """Folder, keys and database, made once; a folder that has them keeps them."""
        self.folder.mkdir(parents=True, exist_ok=True)
        kept = self.folder / "secrets.json"
        if kept.exists():
            found: dict[str, str] = json.loads(kept.read_text("utf-8"))
            return found
        made = {name: secrets.token_urlsafe(24) for name in ("registration_shared_secret", "macaroon_secret_key")}
        made["form_secret"] = secrets.token_urlsafe(24)
        seed = base64.b64encode(secrets.token_bytes(32)).decode().rstrip("=")
        (self.folder / "signing.key").write_text(f"ed25519 a_{secrets.token_hex(2)} {seed}\n", "utf-8")
        (self.folder / "log.yaml").write_text(json.dumps(self._log_settings(), indent=1), "utf-8")
        template = _template_path()
        if template is not None and template.exists() and not self._database.exists():
            shutil.copyfile(template, self._database)
        kept.write_text(json.dumps(made), "utf-8")
        return made

    @property
    def _database(self) -> Path:
        return self.folder / "homeserver.db"

    def _log_settings(self) -> dict[str, Any]:
        return {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"plain": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
            "handlers": {
                "file": {
                    "class": "logging.FileHandler",
                    "formatter": "plain",
                    "filename": str(self.log_file),
                    "encoding": "utf-8",
                }
            },
            "loggers": {"synapse.config.logger": {"level": "ERROR"}},
            "root": {"level": "WARNING", "handlers": ["file"]},
        }

    def _settings(self) -> dict[str, Any]:
        return {
            "server_name": self.server_name,
            "public_baseurl": self.url + "/",
            "listeners": [
                {
                    "port": self._port,
                    "type": "http",
                    "tls": False,
                    "bind_addresses": [HOST],
                    "resources": [{"names": ["client"], "compress": False}],
                }
            ],
            "database": {"name": "sqlite3", "args": {"database": str(self._database)}},
            "log_config": str(self.folder / "log.yaml"),
            "media_store_path": str(self.folder / "media"),
            "signing_key_path": str(self.folder / "signing.key"),
            "trusted_key_servers": [],
            "federation_domain_whitelist": [],
            "report_stats": False,
            "presence": {"enabled": False},
            "background_updates": {"sleep_enabled": False},
            "enable_registration": False,
            "bcrypt_rounds": 4,
            **self._secrets,
            **self._limits,
            **self._extra,
        }

    def _take_free_port(self) -> None:
        """Find a port nobody listens on and that no other Homeserver on this machine has in mind.

        The claim is an abstract socket name: it is ours until closed, stops included, and vanishes with the process.
        """
        if self._claim is not None:
            self._claim.close()
            self._claim = None
        for port in random.sample(_PORTS, 200):
            claim = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                claim.bind(f"\0chatrixcd-threads-port-{port}")
                with socket.socket() as probe:
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    probe.bind((HOST, port))
            except OSError:
                claim.close()
                continue
            self._claim = claim
            self._port = port
            return
        raise HomeserverError(f"No free port between {_PORTS.start} and {_PORTS.stop} for the homeserver.")

    def _launch(self, deadline: float) -> None:
        # JSON is YAML; nothing needs quoting rules.
        (self.folder / "homeserver.yaml").write_text(json.dumps(self._settings(), indent=1), "utf-8")
        fresh = not self._database.exists()
        output = self.folder / "synapse.out"
        output.unlink(missing_ok=True)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, self._port))
            except OSError as error:
                raise _PortTakenError(f"Port {self._port} for the homeserver is taken: {error}") from error
        command = [sys.executable, "-m", "synapse.app.homeserver", "-c", str(self.folder / "homeserver.yaml")]
        process = spawn(command, cwd=self.folder, log=output)
        self._process = process
        try:
            self._await_answer(process, output, deadline)
        except BaseException:
            self._finish(grace=0)
            raise
        if fresh:
            self._keep_template()

    def _await_answer(self, process: subprocess.Popen[bytes], output: Path, deadline: float) -> None:
        with requests.Session() as session:
            session.trust_env = False
            while True:
                ended = process.poll()
                if ended is not None:
                    said = "\n".join(part for part in (tail(output), tail(self.log_file)) if part)
                    if "Address already in use" in said or "CannotListenError" in said:
                        raise _PortTakenError(f"Port {self._port} for the homeserver was taken while it started.")
                    raise HomeserverError(f"Synapse ended with status {ended} while starting. It said:\n{said}")
                if time.monotonic() > deadline:
                    said = "\n".join(part for part in (tail(output), tail(self.log_file)) if part)
                    raise HomeserverError(f"Synapse did not answer in {self._start_timeout:g} s. It said:\n{said}")
                try:
                    if session.get(f"{self.url}/health", timeout=5).status_code == 200 and process.poll() is None:
                        return
                except requests.RequestException:
                    pass
                time.sleep(_POLL)

    def _finish(self, *, grace: float) -> None:
        if self._process is not None:
            end(self._process, grace=grace)
            self._process = None

    def _keep_template(self) -> None:
        """Save the empty database with its schema for the next first start: that saves most of a second each time."""
        template = _template_path()
        if template is None or template.exists():
            return
        deadline = time.monotonic() + 5.0
        new = template.with_suffix(f".{os.getpid()}.new")
        try:
            source = sqlite3.connect(f"file:{self._database}?mode=ro", uri=True, timeout=1.0)
            try:
                # Synapse's clean-up tasks of a new schema run once, here, and not again at every start.
                while time.monotonic() < deadline:
                    if source.execute("SELECT count(*) FROM background_updates").fetchone()[0] == 0:
                        break
                    time.sleep(_POLL)
                target = sqlite3.connect(new)
                try:
                    source.backup(target)
                finally:
                    target.close()
            finally:
                source.close()
            new.replace(template)
        except (sqlite3.Error, OSError):
            new.unlink(missing_ok=True)


def _template_path() -> Path | None:
    """Where the empty database of this Synapse version is kept; None when no cache folder can be written."""
    try:
        version = metadata.version("matrix-synapse")
    except metadata.PackageNotFoundError:
        raise HomeserverError("Synapse is not installed here: pip install 'chatrixcd-threads[demo]'.") from None
    root = os.environ.get("XDG_CACHE_HOME", "")
    try:
        base = Path(root) if Path(root).is_absolute() else Path.home() / ".cache"
        folder = base / "chatrixcd_threads"
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):
        return None
    return folder / f"synapse-{version}-sqlite-{sqlite3.sqlite_version}.db" if os.access(folder, os.W_OK) else None
