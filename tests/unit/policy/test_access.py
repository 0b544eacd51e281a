"""The table of rights: who may do what, with which reason when not."""

from __future__ import annotations

import pytest

from chatrixcd_threads.errors import NotAllowed
from chatrixcd_threads.policy.access import Access, Right
from chatrixcd_threads.settings.model import BotSettings

ME, OTHER, ROOM = "@me:x", "@other:x", "!room:x"


@pytest.mark.parametrize(
    ("admins", "right", "reason"),
    [
        ((), Right.SEE, None),
        ((), Right.RUN, "bot.admin_users in config.json is empty"),
        ((), Right.MANAGE, "bot.admin_users in config.json is empty"),
        ((ME,), Right.RUN, None),
        ((ME,), Right.MANAGE, None),
        (("*",), Right.RUN, None),
        (("*",), Right.MANAGE, None),
        ((OTHER,), Right.SEE, None),
        ((OTHER,), Right.RUN, "are not in bot.admin_users"),
        ((OTHER,), Right.MANAGE, "are not in bot.admin_users"),
        ((ME.upper(),), Right.RUN, "are not in bot.admin_users"),
        (("*:x",), Right.RUN, "are not in bot.admin_users"),
    ],
)
def test_rights(admins: tuple[str, ...], right: Right, reason: str | None) -> None:
    access = Access(BotSettings(admin_users=admins))
    if reason is None:
        access.check(ME, right, "start tasks")
        return
    with pytest.raises(NotAllowed, match=reason) as caught:
        access.check(ME, right, "start tasks")
    assert "start tasks" in caught.value.sentence
    assert ME in caught.value.sentence  # what to put into the list


@pytest.mark.parametrize(("rooms", "served"), [((), True), ((ROOM,), True), (("!other",), False)])
def test_rooms(rooms: tuple[str, ...], served: bool) -> None:
    access = Access(BotSettings(allowed_rooms=rooms))
    if served:
        access.check_room(ROOM)
        return
    with pytest.raises(NotAllowed, match=r"bot\.allowed_rooms"):
        access.check_room(ROOM)


@pytest.mark.parametrize(
    ("admins", "inviters", "followed"),
    [
        ((), (), False),
        ((ME,), (), True),
        ((), (ME,), True),
        (("*",), (), True),
        ((), ("*",), True),
        ((OTHER,), (OTHER,), False),
    ],
)
def test_invitations(admins: tuple[str, ...], inviters: tuple[str, ...], followed: bool) -> None:
    assert Access(BotSettings(admin_users=admins, invite_from=inviters)).may_invite(ME) is followed
