"""The steps of the first start, as one table: what is asked, what is proposed, and how an answer is tried."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from chatrixcd_threads.errors import UserError
from chatrixcd_threads.semaphore.errors import SemaphoreError, Untrusted
from chatrixcd_threads.semaphore.models import User
from chatrixcd_threads.settings import keys
from chatrixcd_threads.wizard.doors import AdminRoom, Claim, Doors
from chatrixcd_threads.wizard.draft import UNCHECKED, Draft
from chatrixcd_threads.wizard.written import summary

CLAIM_TRIES: Final = 5
CLAIM_SECONDS: Final = 300.0
NEW_ROOM: Final = "new"
NO_ROOM: Final = "none"
SHOWN_PROJECTS: Final = 5
MAY_RUN: Final = 1  # the bit in a role's permissions
_NAME: Final = re.compile(r"[^\s:@/]+")
_PASSWORD: Final = "m.login.password"
# What a browser shows behind the address of Semaphore; a host or folder that is only called so is part of the address.
_PAGE: Final = re.compile(r"(?<!/)/(?:project/(?:\d|new\b)|auth/login\b).*")


@dataclass(frozen=True, slots=True)
class Asked:
    """One answer that is to be tried. `tell` shows a line while the check still works."""

    value: str
    draft: Draft
    doors: Doors
    tell: Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Found:
    """What a check found out: the draft with it, and lines for the person."""

    draft: Draft
    lines: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def _nothing(draft: Draft) -> str:
    return ""


def _always(draft: Draft) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Step:
    """One question. `check` tries the answer, and raises UserError with what is wrong and what to do."""

    key: str
    title: str
    question: Callable[[Draft], str]
    help: str
    check: Callable[[Asked], Found]
    default: Callable[[Draft], str] = _nothing
    choices: tuple[str, ...] = ()
    secret: bool = False
    when: Callable[[Draft], bool] = _always
    likely: bool = False  # counted before it is known whether it will be asked
    needs: tuple[str, ...] = ()  # without these an answers file does not get here


# --- the bot's account


def _user_id(asked: Asked) -> Found:
    value = asked.value
    whole = value.startswith("@") and keys.RULES["matrix.user_id"].holds(value)
    if not whole and not _NAME.fullmatch(value):
        raise UserError(
            f"“{value}” is no Matrix id. Type it like @bot:example.org, or only the name of an account like bot."
        )
    return Found(replace(asked.draft, user_id=value))


def _homeserver(asked: Asked) -> Found:
    matrix, value = asked.doors.matrix, asked.value
    server = _server_of(asked.draft.user_id)
    if value and "://" in value and keys.split_url(value) is None:
        raise UserError(f"“{value}” is no address. Type one like https://matrix.example.org, or only example.org.")
    if not value and not server:
        raise UserError(
            "I cannot find a homeserver without a name. Type its address, like https://matrix.example.org, "
            "or go back and type the whole Matrix id."
        )
    address = value if "://" in value else _address_of(value or server, asked)
    found = matrix.look(address)
    lines = [f"{found.address} answers as a Matrix homeserver (specification {found.newest})."]
    draft = replace(asked.draft, homeserver=found.address, flows=found.flows)
    return Found(draft, tuple(lines), _open_way(found.address, "the bot's password"))


def _server_of(user_id: str) -> str:
    return user_id.partition(":")[2] if user_id.startswith("@") else ""


def _address_of(server: str, asked: Asked) -> str:
    """Of a server name; on this machine nobody publishes a .well-known file."""
    if _is_loopback(_host(f"http://{server}")):
        return f"http://{server}" if ":" in server.rpartition("]")[2] else f"http://{server}:8008"
    if keys.split_url(f"https://{server}") is None:
        raise UserError(f"“{server}” is no name of a server. Type the homeserver's address, like https://matrix.org.")
    return asked.doors.matrix.find(server)


def _host(address: str) -> str:
    parts = keys.split_url(address)
    return (parts.hostname if parts else None) or ""


def _open_way(address: str, secret: str) -> tuple[str, ...]:
    """A warning about an address without TLS on another machine."""
    if not address.lower().startswith("http://") or _is_loopback(_host(address)):
        return ()
    return (f"The address begins with http://: everybody on the way can read {secret}.",)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _auth(asked: Asked) -> Found:
    draft = asked.draft
    if asked.value == "password" and _PASSWORD not in draft.flows:
        offered = ", ".join(flow.removeprefix("m.login.") for flow in draft.flows) or "nothing"
        raise UserError(
            f"{draft.homeserver} offers no login with a password (but: {offered}). "
            "Answer token, and make an access token for the bot with another client."
        )
    return Found(replace(draft, auth_type=asked.value))


def _password(asked: Asked) -> Found:
    if not asked.value:
        raise UserError("A password is needed. Type it, or go back and answer token.")
    return _logged_in(asked, replace(asked.draft, password=asked.value, access_token=""))


def _access_token(asked: Asked) -> Found:
    token = asked.value.strip()
    if not token or not keys.RULES["matrix.access_token"].holds(token):
        raise UserError("That is no access token: it has letters, digits and signs, and no spaces. Copy it again.")
    return _logged_in(asked, replace(asked.draft, access_token=token, password=""))


def _logged_in(asked: Asked, draft: Draft) -> Found:
    account = asked.doors.matrix.log_in(draft.matrix())
    if not _is_meant(draft.user_id, account.user_id):
        raise UserError(
            f"The homeserver says that this is {account.user_id}, not {draft.user_id}. "
            "Go back to the first question and type that id, or give the credentials of the other account."
        )
    lines = (
        f"Logged in as {account.user_id}, device {account.device_id}.",
        "End-to-end encryption works with this installation.",
    )
    return Found(replace(draft, user_id=account.user_id, device_id=account.device_id), lines)


def _is_meant(typed: str, user_id: str) -> bool:
    """Whether this is the account that was typed, as a whole id or as a name alone. A token may be somebody else's."""
    name = user_id.removeprefix("@").partition(":")[0]
    return typed == user_id if typed.startswith("@") else typed.casefold() == name.casefold()


# --- Semaphore


def _semaphore_url(asked: Asked) -> Found:
    address = _PAGE.sub("", asked.value)
    if not address or keys.split_url(address) is None:
        raise UserError(
            f"“{asked.value}” is no address. Type one like https://semaphore.example.org or http://10.0.0.5:3000."
        )
    draft = replace(asked.draft, semaphore_url=address, untrusted=False, ca="")
    try:
        return replace(_pinged(asked, draft), warnings=_open_way(address, "the token"))
    except Untrusted as error:
        return Found(replace(draft, untrusted=True), warnings=(error.sentence.partition(". ")[0] + ".",))


def _semaphore_ca(asked: Asked) -> Found:
    if not asked.value:
        raise UserError(
            "Without one nothing goes on here: give the file with the authority's certificate, or type unchecked."
        )
    found = _pinged(asked, replace(asked.draft, ca=asked.value))
    careless = ("Nobody checks now who answers as Semaphore and gets its token.",)
    return replace(found, warnings=careless if asked.value == UNCHECKED else ())


def _pinged(asked: Asked, draft: Draft) -> Found:
    client = asked.doors.semaphore(draft.semaphore())
    try:
        took = client.ping()
    finally:
        client.close()
    return Found(draft, (f"Semaphore answers at {client.address} ({took * 1000:.0f} ms).",))


def _semaphore_token(asked: Asked) -> Found:
    token = asked.value.strip()
    if not token:
        raise UserError("A token is needed. Make one in Semaphore: user menu, API tokens.")
    draft = replace(asked.draft, semaphore_token=token)
    client = asked.doors.semaphore(draft.semaphore())
    try:
        user = client.whoami()
        version = client.info().raw
        projects = client.projects()
        looked_at = projects[:SHOWN_PROJECTS]
        counts = [(project.name, len(client.templates(project.id))) for project in looked_at]
        idle = [each.name for each in looked_at if not user.admin and not client.role(each.id).permissions & MAY_RUN]
    except SemaphoreError as error:
        raise UserError(error.sentence) from error
    finally:
        client.close()
    lines = [f"Semaphore {version} knows the token: it is {user.username}'s."]
    lines += [f"Project {name}: {count} {'template' if count == 1 else 'templates'}." for name, count in counts]
    if len(projects) > len(counts):
        lines.append(f"And {len(projects) - len(counts)} more projects.")
    return Found(draft, tuple(lines), _cautions(user, len(projects), idle))


def _cautions(user: User, projects: int, idle: list[str]) -> tuple[str, ...]:
    name = user.username
    said = [f"{name} may not run tasks in {project}: give it the role task_runner there." for project in idle]
    if user.admin:
        said.append(
            f"{name} is an administrator of Semaphore: whoever gets this token may do everything. "
            "A user of its own with the role task_runner in its projects is enough."
        )
    if not projects:
        said.append(f"{name} is a member of no project: add it to one, with the role task_runner.")
    return tuple(said)


# --- how it behaves, and who owns it


def _prefix(asked: Asked) -> Found:
    if not keys.RULES["bot.command_prefix"].holds(asked.value):
        raise UserError("That is no prefix: it is a word like !cd, that every command begins with.")
    return Found(replace(asked.draft, prefix=asked.value))


def _owner(asked: Asked) -> Found:
    value, draft = asked.value, asked.draft
    if not value:
        warning = "Without a name, whoever first types the code in the admin room will own the bot."
        return Found(replace(draft, owner=""), warnings=(warning,))
    if not value.startswith("@") or not keys.RULES["matrix.user_id"].holds(value):
        raise UserError(f"“{value}” is no Matrix id. Type your own, like @you:example.org.")
    if value == draft.user_id:
        raise UserError("That is the bot itself. Type the id of the account that you use.")
    return Found(replace(draft, owner=value))


def _admin_room(asked: Asked) -> Found:
    value, draft = asked.value, asked.draft
    if value == NO_ROOM:
        return Found(replace(draft, room_id=""), warnings=("Without an admin room only the log hears of trouble.",))
    if value == NEW_ROOM and not draft.owner:
        raise UserError(
            "There is nobody to invite into a new room: go back and type your Matrix id, or give a room that exists."
        )
    if value == NEW_ROOM:
        room = asked.doors.matrix.make_room(draft.owner)
        lines = (f"Room {room.room_id} is made, private and encrypted; {draft.owner} is invited.",)
        unknown = () if room.known else (_UNKNOWN.format(draft.owner),)
        return Found(replace(draft, room_id=room.room_id), lines, (*unknown, *_unsigned(room, draft)))
    if not keys.RULES["bot.allowed_rooms"].holds(value):
        raise UserError(
            f"“{value}” is no room. Type {NEW_ROOM}, {NO_ROOM}, or a room like !id:example.org or #alias:x.org."
        )
    room = asked.doors.matrix.enter_room(value)
    clear = () if room.encrypted else ("This room is not encrypted: its homeservers can read all that is said there.",)
    lines = (f"The bot is in room {room.room_id}.",)
    return Found(replace(draft, room_id=room.room_id), lines, (*clear, *_unsigned(room, draft)))


_UNKNOWN: Final = (
    "No homeserver knows {} by that id. Capital letters count: go back to the owner if it is not quite right, or nobody "
    "will own the bot."
)


def _unsigned(room: AdminRoom, draft: Draft) -> tuple[str, ...]:
    if room.signed:
        return ()
    return (
        f"Another client has set up cross-signing for {draft.user_id}, so the bot cannot sign its own device: clients that "
        f"exclude unsigned devices will not speak with it. Sign {draft.device_id} from that client, or give the bot an "
        "account that no other client has used.",
    )


def _claim(asked: Asked) -> Found:
    draft = asked.draft
    if asked.value == "later":
        nobody = () if draft.owner else ("bot.admin_users stays empty: nobody may start, stop or change anything.",)
        return Found(draft, warnings=nobody)
    code = asked.doors.new_code()
    who = draft.owner or "somebody"
    asked.tell(f"In the admin room, as {who}, type:  claim {code}")
    asked.tell(f"I wait for it for {CLAIM_SECONDS / 60:g} minutes.")
    claim = Claim(draft.room_id, draft.owner, code, draft.prefix, CLAIM_TRIES, CLAIM_SECONDS)
    owner = asked.doors.matrix.wait_for_claim(claim, asked.tell)
    return Found(replace(draft, owner=owner, claimed=True), (f"{owner} owns the bot now.",))


# --- the end


def _write(asked: Asked) -> Found:
    if asked.value == "no":
        return Found(asked.draft, warnings=("Nothing was written.",))
    kept = asked.doors.write(asked.draft)
    return Found(replace(asked.draft, written=True), (kept,))


def _start(asked: Asked) -> Found:
    return Found(replace(asked.draft, start=asked.value == "yes"))


def _ask_write(draft: Draft) -> str:
    over = " There is a settings file already; it is kept as an earlier version." if draft.exists else ""
    return "\n".join([f"Shall I write this?{over}", *summary(draft)])


STEPS: Final = (
    Step(
        "user_id",
        "The bot's account",
        lambda draft: "Which Matrix account does the bot have? (its Matrix id, like @bot:example.org)",
        "The bot needs an account of its own on a homeserver: let one be registered there first. If you know "
        "only the name and the homeserver, type the name; the next question asks for the homeserver.",
        _user_id,
    ),
    Step(
        "homeserver",
        "The homeserver",
        lambda draft: (
            f"At which address does the homeserver answer? (empty: I find it by the name {_server_of(draft.user_id)})"
            if _server_of(draft.user_id)
            else "At which address does the homeserver answer? (like https://matrix.example.org)"
        ),
        "The address may differ from the name: it is looked up in https://NAME/.well-known/matrix/client. Type an address "
        "to use it as it is, or a name to look that one up.",
        _homeserver,
        needs=("user_id",),
    ),
    Step(
        "auth",
        "The way to log in",
        lambda draft: "How does the bot log in?",
        "With its password, or with an access token that another client made. A token made elsewhere brings a device of "
        "its own, which must be used by nobody but the bot.",
        _auth,
        default=lambda draft: "password" if _PASSWORD in draft.flows else "token",
        choices=("password", "token"),
        needs=("homeserver",),
    ),
    Step(
        "password",
        "The password",
        lambda draft: f"What is the password of {draft.user_id}?",
        "It is tried at once, and stands in config.json, which only you can read. The login is kept for the bot.",
        _password,
        secret=True,
        when=lambda draft: draft.auth_type == "password",
        needs=("auth",),
    ),
    Step(
        "access_token",
        "The access token",
        lambda draft: f"What is the access token of {draft.user_id}?",
        "It is tried at once, and stands in config.json, which only you can read.",
        _access_token,
        secret=True,
        when=lambda draft: draft.auth_type == "token",
        needs=("auth",),
    ),
    Step(
        "semaphore_url",
        "Semaphore",
        lambda draft: "At which address does Semaphore UI answer? (as you open it in a browser)",
        "Like https://semaphore.example.org or http://10.0.0.5:3000. A path in it counts.",
        _semaphore_url,
    ),
    Step(
        "semaphore_ca",
        "Semaphore's certificate",
        lambda draft: f"Which file holds the certificate of the authority? ({UNCHECKED}: take any certificate)",
        "Semaphore's certificate is signed by nobody whom this machine trusts. Give a PEM file with the authority's "
        f"certificate (or the certificate itself when it signed itself). {UNCHECKED} is for a try only.",
        _semaphore_ca,
        when=lambda draft: draft.untrusted,
        needs=("semaphore_url",),
    ),
    Step(
        "semaphore_token",
        "Semaphore's token",
        lambda draft: "What is the API token of the Semaphore user as whom the bot acts?",
        "Make it in Semaphore: user menu, API tokens. A user of its own with the role task_runner in each project that "
        "the bot serves is best: the bot can then do no more than that.",
        _semaphore_token,
        secret=True,
        needs=("semaphore_url", "semaphore_ca"),
    ),
    Step(
        "prefix",
        "The prefix",
        lambda draft: "Which word does every command begin with?",
        "In a room you then type for example: !cd help",
        _prefix,
        default=lambda draft: draft.prefix,
    ),
    Step(
        "owner",
        "The owner",
        lambda draft: "What is your own Matrix id? (you will own the bot; like @you:example.org)",
        "The owner may start, stop and change everything. More people are added later in bot.admin_users. Left empty, the "
        "owner is who first types the code in the admin room.",
        _owner,
    ),
    Step(
        "admin_room",
        "The admin room",
        lambda draft: f"Which room is for the admins? ({NEW_ROOM}, {NO_ROOM}, or a room's id or alias)",
        "There the bot tells of changed settings and asks about dangerous ones. A new room is private and encrypted, and "
        "you are invited. The bot serves in this room; add others in bot.allowed_rooms.",
        _admin_room,
        default=lambda draft: NEW_ROOM if draft.owner else NO_ROOM,
        needs=("*",),
    ),
    Step(
        "claim",
        "The claim",
        lambda draft: "Do you claim the bot now? You need to be in the admin room with your own client.",
        "now: I show a code, you type it in the admin room; so it is sure that you can read each other and that your id "
        "is right. later: the id that you gave is the owner all the same.",
        _claim,
        default=lambda draft: "now",
        choices=("now", "later"),
        when=lambda draft: bool(draft.room_id),
        likely=True,
        needs=("*",),
    ),
    Step(
        "write",
        "The settings file",
        _ask_write,
        "The file is readable by you alone. Everything in it can be changed later, also while the bot runs.",
        _write,
        default=lambda draft: "no" if draft.exists else "yes",
        choices=("yes", "no"),
        needs=("*",),
    ),
    Step(
        "start",
        "The start",
        lambda draft: "Shall I start the bot now?",
        "no: it ends here, and you start it later by the same command.",
        _start,
        default=lambda draft: "yes",
        choices=("yes", "no"),
        when=lambda draft: draft.written and draft.may_start,
        needs=("*",),
    ),
)
BY_KEY: Final[Mapping[str, Step]] = {step.key: step for step in STEPS}
