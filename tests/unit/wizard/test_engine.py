"""The steps and the walk through them: every answer is tried, a mistake says what to do, nothing typed is lost."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from chatrixcd_threads.errors import UserError
from chatrixcd_threads.semaphore.errors import NotSemaphore, Untrusted
from chatrixcd_threads.semaphore.models import User
from chatrixcd_threads.wizard.doors import Doors
from chatrixcd_threads.wizard.draft import UNCHECKED, Draft
from chatrixcd_threads.wizard.engine import Walk
from chatrixcd_threads.wizard.steps import BY_KEY, STEPS, Found
from chatrixcd_threads.wizard.written import values
from tests.unit.wizard.fakes import ANN, BOT, GOOD, HOME, PASSWORD, ROOM, SEMAPHORE, TOKEN, World

EMPTY = Draft()


class Person:
    """Answers one question after the other."""

    def __init__(self, world: World, draft: Draft = EMPTY) -> None:
        self.world, self.walk, self.told = world, Walk(draft), list[str]()
        self._doors: Doors = world.doors

    def answer(self, typed: str) -> Found:
        attempt = self.walk.attempt(typed)
        try:
            found = attempt.run(self._doors, self.told.append)
        except UserError as error:
            self.walk.failed(error.sentence)
            raise
        self.walk.passed(attempt, found)
        return found

    def until(self, key: str, answers: Mapping[str, str] = GOOD) -> None:
        while self.key != key:
            self.answer(answers[self.key])

    @property
    def key(self) -> str:
        return self.walk.step.key if self.walk.step is not None else ""


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def person(world: World) -> Person:
    return Person(world)


def test_the_whole_way(person: Person, world: World) -> None:
    person.until("")
    draft = person.walk.draft
    assert draft.written
    assert draft.start
    assert draft.claimed
    assert (draft.homeserver, draft.user_id, draft.owner, draft.room_id) == (HOME, BOT, ANN, ROOM)
    assert (draft.semaphore_url, draft.semaphore_token, draft.password) == (SEMAPHORE, TOKEN, PASSWORD)
    assert world.matrix.calls == [
        "find example.org",
        f"look {HOME}",
        f"log_in {BOT} password",
        f"make_room {ANN}",
        f"wait_for_claim {ROOM} {ANN} CODE1",
    ]
    assert "claim CODE1" in person.told[0]
    assert len(world.written) == 1
    assert world.semaphore.closed == len(world.semaphore.asked) == 2


def test_every_step_is_explained_and_can_be_asked() -> None:
    assert len(BY_KEY) == len(STEPS)
    for step in STEPS:
        assert step.question(Draft()).strip()
        assert step.help.endswith(".") or step.help.endswith("help")
        assert step.title
        assert set(step.needs) <= {*BY_KEY, "*"}


def test_the_place_counts_what_will_be_asked(person: Person) -> None:
    assert person.walk.place[0] == 1
    person.until("semaphore_url")
    assert person.walk.place == (5, 11)  # the last question, about the start, depends on the one before
    person.until("start")
    assert person.walk.place == (12, 12)


WRONG = [
    ("user_id", "bot@example.org", "no Matrix id"),
    ("user_id", "", "no Matrix id"),
    ("user_id", "@bot", "no Matrix id"),
    ("homeserver", "https://", "no address"),
    ("homeserver", "a b", "no name of a server"),
    ("auth", "sso", "password or token"),
    ("password", "", "password is needed"),
    ("password", "wrong", "Check the password"),
    ("semaphore_url", "semaphore.example.org", "no address"),
    ("semaphore_url", "", "no address"),
    ("semaphore_token", "", "token is needed"),
    ("prefix", " \t", ""),
    ("owner", "ann", "no Matrix id"),
    ("owner", BOT, "the bot itself"),
    ("admin_room", "ops", "no room"),
    ("claim", "perhaps", "now or later"),
    ("write", "maybe", "yes or no"),
]


@pytest.mark.parametrize(("key", "typed", "sentence"), WRONG)
def test_a_wrong_answer_says_so_and_stays_at_its_step(person: Person, key: str, typed: str, sentence: str) -> None:
    person.until(key)
    if not sentence:  # blanks are an empty answer: the default counts
        person.answer(typed)
        return
    with pytest.raises(UserError, match=sentence):
        person.answer(typed)
    assert person.key == key
    person.until("")
    assert person.walk.draft.written


def test_a_failed_check_is_tried_again_with_the_same_answer(person: Person, world: World) -> None:
    world.matrix.problems["look"] = [UserError("No connection there.")]
    person.answer(BOT)
    with pytest.raises(UserError, match="No connection"):
        person.answer("https://other.example.org")
    assert person.walk.problem == "No connection there."
    assert person.walk.proposed() == "https://other.example.org"
    person.answer(person.walk.proposed())
    assert person.walk.draft.homeserver == "https://other.example.org"
    assert person.walk.problem == ""


def test_back_keeps_what_was_answered(person: Person) -> None:
    assert not person.walk.back()
    person.until("semaphore_url")
    for key in ("password", "auth", "homeserver", "user_id"):
        assert person.walk.back()
        assert person.key == key
        assert person.walk.proposed() == GOOD[key]
    assert person.walk.draft == Draft()
    person.until("")
    assert person.walk.draft.written


def test_another_answer_further_back_counts_for_the_rest(person: Person, world: World) -> None:
    world.matrix.flows = ("m.login.password", "m.login.sso")
    person.until("semaphore_url")
    person.walk.back()
    person.walk.back()
    person.answer("token")
    assert person.key == "access_token"
    person.answer(TOKEN)
    draft = person.walk.draft
    assert draft.matrix().auth_type == "token"
    assert draft.matrix().access_token == TOKEN
    assert draft.matrix().password == draft.password == ""


def test_an_account_without_a_server_needs_the_address(person: Person, world: World) -> None:
    person.answer("bot")
    with pytest.raises(UserError, match="cannot find a homeserver without a name"):
        person.answer("")
    person.answer("https://matrix.example.org")
    person.answer("")
    person.answer(PASSWORD)
    assert person.walk.draft.user_id == BOT  # as the homeserver says
    assert "find example.org" not in world.matrix.calls


def test_a_name_of_a_server_is_looked_up(person: Person, world: World) -> None:
    person.answer(BOT)
    person.answer("example.com")
    assert "find example.com" in world.matrix.calls


@pytest.mark.parametrize(
    ("user", "address"),
    [
        ("@bot:localhost", "http://localhost:8008"),
        ("@bot:localhost:8448", "http://localhost:8448"),
        ("@bot:127.0.0.1", "http://127.0.0.1:8008"),
        ("@bot:[::1]", "http://[::1]:8008"),
    ],
)
def test_this_machine_needs_no_well_known(world: World, user: str, address: str) -> None:
    person = Person(world)
    person.answer(user)
    assert person.answer("").warnings == ()
    assert world.matrix.calls == [f"look {address}"]


def test_an_open_way_is_warned_of(person: Person) -> None:
    person.answer(BOT)
    (warning,) = person.answer("http://matrix.example.org").warnings
    assert "the bot's password" in warning
    person.until("semaphore_url")
    (warning,) = person.answer("http://10.0.0.5:3000").warnings
    assert "the token" in warning
    person.walk.back()
    assert person.answer("http://127.0.0.1:3000").warnings == ()


def test_no_login_with_a_password(person: Person, world: World) -> None:
    world.matrix.flows = ("m.login.sso", "m.login.token")
    person.until("auth")
    assert person.walk.proposed() == "token"
    with pytest.raises(UserError, match=r"offers no login with a password \(but: sso, token\)"):
        person.answer("password")


def test_the_credentials_of_somebody_else(person: Person, world: World) -> None:
    world.matrix.account = "@other:example.org"
    person.until("password")
    with pytest.raises(UserError, match=r"this is @other:example\.org, not @bot:example\.org"):
        person.answer(PASSWORD)


def test_a_token_of_somebody_else_for_a_name_alone(world: World) -> None:
    person = Person(world)
    answers = {**GOOD, "user_id": "Bot", "homeserver": "example.org", "auth": "token", "access_token": "syt_x"}
    person.until("access_token", answers)
    world.matrix.account = "@ann:example.org"
    with pytest.raises(UserError, match=r"this is @ann:example\.org, not Bot"):
        person.answer("syt_x")
    world.matrix.account = BOT
    person.answer(" syt_x ")  # as it was copied
    assert person.walk.draft.access_token == "syt_x"
    person.answer(SEMAPHORE)
    person.answer(f" {TOKEN} ")
    assert person.walk.draft.semaphore_token == TOKEN


def test_a_certificate_that_is_not_trusted_asks_for_the_authority(person: Person, world: World) -> None:
    world.semaphore.problems["ping"] = [Untrusted("Asking failed: the certificate is not trusted. Put it there.")]
    person.until("semaphore_url")
    (warning,) = person.answer(SEMAPHORE).warnings
    assert warning == "Asking failed: the certificate is not trusted."
    assert person.key == "semaphore_ca"
    with pytest.raises(UserError, match="file with the authority"):
        person.answer("")
    person.answer("/etc/ssl/own.pem")
    person.until("write")
    assert world.semaphore.asked[-1].ssl_ca_cert == "/etc/ssl/own.pem"
    assert world.semaphore.asked[-1].ssl_verify


def test_any_certificate_only_with_a_warning(person: Person, world: World) -> None:
    world.semaphore.problems["ping"] = [Untrusted("Not trusted.")]
    person.until("semaphore_url")
    person.answer(SEMAPHORE)
    assert person.answer(UNCHECKED).warnings
    assert world.semaphore.asked[-1].ssl_verify is False
    assert world.semaphore.asked[-1].ssl_ca_cert == ""


def test_a_web_page_is_no_semaphore(person: Person, world: World) -> None:
    world.semaphore.problems["ping"] = [NotSemaphore("It answered with a web page. Check semaphore.url.")]
    person.until("semaphore_url")
    with pytest.raises(UserError, match="web page"):
        person.answer(SEMAPHORE)
    assert person.key == "semaphore_url"


@pytest.mark.parametrize(
    ("user", "projects", "warnings"),
    [
        (User(1, "root", admin=True), 2, ["administrator"]),
        (User(1, "bot"), 0, ["member of no project"]),
        (User(1, "root", admin=True), 0, ["administrator", "member of no project"]),
        (User(1, "bot"), 7, []),
    ],
)
def test_what_the_token_may_see(person: Person, world: World, user: User, projects: int, warnings: list[str]) -> None:
    world.semaphore.user, world.semaphore.projects_there = user, projects
    person.until("semaphore_token")
    found = person.answer(TOKEN)
    assert [word for word in warnings if any(word in line for line in found.warnings)] == warnings
    assert len(found.warnings) == len(warnings)
    assert any(user.username in line for line in found.lines)
    if projects:
        assert "Project P1: 1 template." in found.lines
        assert any("2 templates" in line for line in found.lines)
    assert ("And 2 more projects." in found.lines) == (projects == 7)


def test_a_token_that_may_only_look(person: Person, world: World) -> None:
    world.semaphore.permissions = 0
    person.until("semaphore_token")
    (warning,) = person.answer(TOKEN).warnings
    assert warning == "chatops may not run tasks in P1: give it the role task_runner there."


def test_without_an_owner_nobody_is_invited(person: Person, world: World) -> None:
    person.until("owner")
    assert person.answer("").warnings
    assert person.walk.proposed() == "none"
    with pytest.raises(UserError, match="nobody to invite"):
        person.answer("new")
    assert person.answer("#ops:example.org").warnings  # the faked room is not encrypted
    world.matrix.claimed_by = "@first:example.org"
    person.answer("now")
    assert person.walk.draft.owner == "@first:example.org"


def test_a_device_that_the_account_does_not_sign(person: Person, world: World) -> None:
    world.matrix.signed = False
    person.until("admin_room")
    (warning,) = person.answer("new").warnings
    assert "cross-signing" in warning
    assert "Sign CHATRIXCD" in warning


def test_an_owner_whom_nobody_knows(person: Person, world: World) -> None:
    world.matrix.known = False
    person.until("admin_room")
    (warning,) = person.answer("new").warnings
    assert f"No homeserver knows {ANN}" in warning


@pytest.mark.parametrize("page", ["/project/1/history?x=1", "/auth/login", "/sub/project/2/templates"])
def test_semaphores_address_as_a_browser_shows_it(person: Person, page: str) -> None:
    person.until("semaphore_url")
    person.answer(SEMAPHORE + page)
    assert person.walk.draft.semaphore_url == SEMAPHORE + ("/sub" if page.startswith("/sub") else "")


@pytest.mark.parametrize("folder", ["/project/semaphore", "/auth/ci", "/projects/1"])
def test_a_folder_that_is_called_like_a_page_is_kept(person: Person, folder: str) -> None:
    person.until("semaphore_url")
    person.answer(SEMAPHORE + folder)
    assert person.walk.draft.semaphore_url == SEMAPHORE + folder


def test_the_device_of_a_token_is_named_and_written(world: World) -> None:
    world.matrix.signed, world.matrix.device = False, "LAPTOP"
    person = Person(world)
    person.until("admin_room", {**GOOD, "auth": "token", "access_token": "syt_x"})
    (warning,) = person.answer("new").warnings
    assert "Sign LAPTOP" in warning
    assert dict(values(person.walk.draft))["matrix.device_id"] == "LAPTOP"


def test_no_room_means_no_claim(person: Person) -> None:
    person.until("admin_room")
    person.answer("none")
    assert person.key == "write"
    assert person.walk.draft.owner == ANN


def test_later_leaves_the_named_owner(person: Person, world: World) -> None:
    person.until("claim")
    assert person.answer("later").warnings == ()
    assert person.walk.draft.owner == ANN
    assert not person.walk.draft.claimed
    assert not any(call.startswith("wait") for call in world.matrix.calls)


def test_each_wait_has_a_code_of_its_own(person: Person, world: World) -> None:
    world.matrix.problems["wait_for_claim"] = [UserError("Nobody typed the code.")]
    person.until("claim")
    with pytest.raises(UserError, match="Nobody"):
        person.answer("now")
    person.answer("")
    assert [call for call in world.matrix.calls if call.startswith("wait")][-1].endswith("CODE2")


def test_a_no_at_the_end_writes_nothing(world: World) -> None:
    person = Person(world, Draft(exists=True))
    person.until("write")
    assert person.walk.proposed() == "no"
    person.answer("")
    assert person.key == ""
    assert world.written == []
    assert not person.walk.draft.written


def test_the_start_is_asked_only_where_it_may_be(world: World) -> None:
    person = Person(world, Draft(may_start=False))
    person.until("")
    assert person.walk.draft.written
    assert not person.walk.draft.start


def test_secrets_are_in_no_representation(person: Person) -> None:
    person.until("write")
    assert PASSWORD not in repr(person.walk.draft)
    assert TOKEN not in repr(person.walk.draft)
    step = person.walk.step
    assert step is not None
    question = step.question(person.walk.draft)
    assert PASSWORD not in question
    assert TOKEN not in question
    assert ANN in question


def test_the_end_cannot_be_answered(person: Person) -> None:
    person.until("")
    with pytest.raises(UserError, match="All questions"):
        person.walk.attempt("x")
