"""The settings as the bot sees them: frozen, typed, with ChatrixCD's names and defaults (its config version 5)."""

from __future__ import annotations

from typing import Literal

import msgspec

CONFIG_VERSION = 5
EVERYBODY = "*"
EVERY_ROOM = "*"


class MatrixSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How the bot reaches its homeserver. `store_path` holds keys, session and journal; changing it needs a restart."""

    homeserver: str = "https://matrix.org"
    user_id: str = ""
    device_id: str = "CHATRIXCD"
    device_name: str = "ChatrixCD Bot"
    auth_type: Literal["password", "token", "oidc"] = "password"
    password: str = ""
    access_token: str = ""
    oidc_redirect_url: str = "http://localhost:8080/callback"
    store_path: str = "./store"


class SemaphoreSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How the bot reaches Semaphore UI. `timeout` bounds one whole call, in seconds."""

    url: str = ""
    api_token: str = ""
    ssl_verify: bool = True
    ssl_ca_cert: str = ""
    ssl_client_cert: str = ""
    ssl_client_key: str = ""
    timeout: float = 15.0
    check_mode_markers: bool = False
    poll_seconds: float = 2.0


class ReloadSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How saved files are noticed, in seconds: when a file counts as saved, and how often all are looked at."""

    quiet: float = 0.1
    longest: float = 1.0
    quick: float = 0.5
    slow: float = 2.0
    quick_for: float = 60.0


class BotSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How the bot behaves. An empty `admin_users` lets nobody start, stop or change anything; `["*"]` everybody."""

    command_prefix: str = "!cd"
    allowed_rooms: tuple[str, ...] = ()
    admin_users: tuple[str, ...] = ()
    invite_from: tuple[str, ...] = ()
    admin_room: str = ""
    greetings_enabled: bool = True
    greeting_rooms: tuple[str, ...] = ()
    tones: dict[str, str] = {}
    startup_message: str = "🤖 ChatrixCD bot is now online and ready to help with CI/CD tasks!"
    shutdown_message: str = "👋 ChatrixCD bot is shutting down. See you later!"
    log_file: str = "chatrixcd.log"
    mouse_enabled: bool = False
    color_enabled: bool = True
    color_theme: Literal["default", "midnight", "grayscale", "windows31", "msdos"] = "default"
    verbosity: Literal["silent", "error", "info", "debug"] = "info"
    redact: bool = False
    confirm: dict[str, str] = {}
    question_seconds: float = 300.0
    soft_limit_seconds: float = 5.0
    hard_limit_seconds: float = 90.0
    workers: int = 64
    reload: ReloadSettings = ReloadSettings()


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """One version of all settings. Readers take the object once per job and keep it."""

    matrix: MatrixSettings = MatrixSettings()
    semaphore: SemaphoreSettings = SemaphoreSettings()
    bot: BotSettings = BotSettings()
