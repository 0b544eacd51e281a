"""The desk: handles one accepted event in a worker thread and commits its whole effect at once.

Whatever a command answers, the outbox rows, the question and the mark "handled" are one transaction. A job that was
killed before it runs again from the start; a job that was given up finds its event already handled and changes nothing.
"""

from __future__ import annotations

import logging
import sqlite3
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

import humanize

from chatrixcd_threads.commands import away, launching, picks
from chatrixcd_threads.commands.call import Call, Tools, answer_slot, lateness
from chatrixcd_threads.commands.declare import Ask, Command, Note, Reply, Wants
from chatrixcd_threads.commands.notices import ANY_ADMIN
from chatrixcd_threads.commands.parse import verdict_of_word, words
from chatrixcd_threads.commands.phrases import phrase
from chatrixcd_threads.commands.post import Poster, Where, home_of
from chatrixcd_threads.commands.registry import commands, find
from chatrixcd_threads.commands.verbs.help import ASKED_FOR
from chatrixcd_threads.errors import NotAllowed, SecretTyped, UserError, WrongRoom
from chatrixcd_threads.events import Incoming, Kind
from chatrixcd_threads.journal import audit, begun, inbox, launches, outbox, questions
from chatrixcd_threads.journal.audit import Deed
from chatrixcd_threads.journal.outbox import Priority
from chatrixcd_threads.journal.questions import Question
from chatrixcd_threads.policy.access import OPERATOR_ROOM, Right
from chatrixcd_threads.settings.tones import tone_of
from chatrixcd_threads.text.markup import Text, code, lines, person, text
from chatrixcd_threads.threads.diagnose import new_code

log = logging.getLogger("chatrixcd.desk")

Effect = Callable[[sqlite3.Connection], None]

VERDICTS: Final = frozenset({"yes", "no"})
GIVE_UP: Final = frozenset({"cancel", "abort"})  # ends a question that wants a value, where “no” may be the value

CLEAR_SENTENCE = (
    "🔓 I did nothing: your command was sent in clear text in an encrypted room, where anybody on the way could have changed it. "
    "Please send it again with encryption on."
)
FORGED_SENTENCE = (
    "🕵 I did nothing: this message says who sent it, but it was not encrypted by any device of that person that I know "
    "and that their own account vouches for. If it is yours, verify this session in your client, or log in again, and send it once more."
)
UNREADABLE_SENTENCE = (
    "🔑 I could not decrypt your message: it was encrypted before your client knew this device of mine. "
    "If it was a command, please send it again; the next one will work."
)
FLOOD_SENTENCE = "🐢 You are faster than I am. I keep all your commands and answer them one after the other."
SLOW_SENTENCE = "⏳ I am still working on it; the answer will stand here."
LONG_SENTENCE = "⚠ I did nothing: the first line of your message is too long for a command."
CLEAR_SECRET_SENTENCE = (
    "🔓 I did not take that: it was sent in clear text, where anybody on the way could read it. Please send it again with "
    "encryption on, and change the secret if that was the right one."
)
ROOM_SECRET_SENTENCE = (
    "🔑 I did not take that. Never type a secret here: say it in our direct chat. If that was the right one, it should be "
    "changed."
)
NO_QUESTION_SENTENCE = "🔑 I did not take that: I do not wait for a secret here any more, and an edit changes none."
FORGOTTEN_SENTENCE = "🔑 I was restarted just when you said that, and I forget secrets on purpose. Please say it again."
NUDGE_SENTENCE = (
    "I did not take that as an answer, because something else was said after my question. "
    "React to the question with 👍 or 👎, or reply to it with yes or no."
)

STALE_SENTENCE = (
    "⚠ You said yes, and then I was gone until the time for it was over. Nothing was started. Please ask again."
)
OPERATOR_SENTENCE = "I did nothing: no question, or more than one, waits for you here. Take back what you do not mean:"
SEVERAL_SENTENCE = (
    "I did not take that as an answer, because several questions of mine wait for you in this thread. "
    "React to the one you mean with 👍 or 👎, or reply to it with yes or no."
)


@dataclass(frozen=True, slots=True)
class Answering:
    """The effect of a reply: everything it brings, in one transaction."""

    where: Where
    reply: Reply
    who: str
    now: float
    poster: Poster
    priority: Priority = Priority.ANSWER

    def __call__(self, tx: sqlite3.Connection) -> None:
        reply = self.reply
        if reply.deed is not None:
            reply.deed(tx)
        self.poster.post(tx, self.where, reply.text, priority=self.priority, file=reply.file, mention=reply.mention)
        for also in reply.also:
            self.poster.post(tx, also.where, also.text, mention=also.mention)
        for each in reply.notes:
            detail = self.poster.clean(each.detail)
            audit.note(
                tx,
                each.what,
                who=self.who,
                room_id=self.where.room_id,
                subject=each.subject,
                detail=detail,
                now=self.now,
            )


@dataclass(frozen=True, slots=True)
class About:
    """Whom a question asks, and which command goes on with the answer."""

    asker: str
    action: str
    command_event: str


class Desk:
    """Any worker thread. Holds no state of its own; `tools` gives a fresh snapshot for each job."""

    def __init__(self, tools: Callable[[], Tools], poster: Poster, wake_outbox: Callable[[], None]) -> None:
        self._tools = tools
        self._poster = poster
        self._wake = wake_outbox

    def handle(self, event: Incoming) -> None:
        """The whole handling of one event."""
        tools = self._tools()
        match event.kind:
            case Kind.COMMAND:
                effects = self._command(event, tools)
            case Kind.ANSWER | Kind.REACTION:
                effects = self._verdict(event, tools)
            case Kind.SAID:
                effects = self._words(event, tools)
            case Kind.SECRET:
                effects = self._secret(event, tools)
            case Kind.EXPOSED:
                effects = self._exposed(event, tools)
            case Kind.WITHDRAWN | Kind.EDITED:
                effects = self._withdrawn(event, tools)
            case Kind.CLEAR:
                effects = [self._says(event, text(CLEAR_SENTENCE)), _distrusted(event, "sent in clear text", tools)]
            case Kind.LONG:
                effects = [self._says(event, text(LONG_SENTENCE))]
            case Kind.FORGED:
                effects = [
                    self._says(event, text(FORGED_SENTENCE)),
                    _distrusted(event, "not encrypted by a device of this person", tools),
                ]
            case Kind.UNREADABLE:
                effects = [self._says(event, text(UNREADABLE_SENTENCE))]
        self._commit(event, tools, effects)

    def failed(self, event: Incoming, error: BaseException) -> None:
        """A job ended with an unknown error: the person gets a code that finds the log line."""
        code = new_code()
        log.error("%s: handling of %s failed", code, event.event_id, exc_info=error)
        sentence = f"💥 Something in me broke while I worked on this (code {code}). An admin finds the cause under that code in my log."
        self._commit(event, self._tools(), [self._ends(event, text(sentence)), *self._deletes_secret(event)])

    def slow(self, event: Incoming) -> None:
        """A job passed its soft limit: the room hears that it is still worked on. The answer will replace this."""
        with self._tools().journal.write() as tx:
            if not inbox.is_open(tx, event.seq):
                return
            if event.kind is Kind.COMMAND:
                self._says(event, text(SLOW_SENTENCE))(tx)
            elif (question := questions.settled_with(tx, event.event_id)) is not None:
                self._edit_question(tx, question, text(SLOW_SENTENCE))
        self._wake()

    def lost(self, event: Incoming) -> None:
        """A job passed its hard limit and was given up."""
        code = new_code()
        log.error("%s: handling of %s was given up", code, event.event_id)
        sentence = f"⌛ I gave up on this after waiting too long (code {code}). Look at Semaphore before you try again."
        self._commit(event, self._tools(), [self._ends(event, text(sentence)), *self._deletes_secret(event)])

    def flooded(self, event: Incoming) -> None:
        """A person is faster than their lane: one notice for the whole flood, and nothing is lost.

        What was said while the bot was away came slowly enough, and has a list of its own.
        """
        where = Where(f"flood:{event.event_id}", event.room_id, event.thread, event.event_id)
        tools = self._tools()
        if lateness(inbox.oldest_open(tools.journal.read(), event.room_id, event.sender), tools.now()):
            return
        with tools.journal.write() as tx:
            self._poster.post(tx, where, text(FLOOD_SENTENCE), priority=rank_of(event.sender, tools))
        self._wake()

    def expire(self, question: Question) -> None:
        """A question was not answered in time: its message says so from now on."""
        tools = self._tools()
        with tools.journal.write() as tx:
            if inbox.answers_wait(tx, question.room_id, question.asker):
                why = "I came to your answer too late"
            elif lateness(question.expires_at, tools.now()):
                why = "Its time was over while I was not there"
            else:
                why = "Nobody answered in time"
            self._expires(tx, question, why, tools)
        self._wake()

    def _expires(self, tx: sqlite3.Connection, question: Question, why: str, tools: Tools) -> None:
        summary = str(question.payload.get("summary", ""))
        tone = tone_of(tools.settings.bot, question.room_id)
        sentence = phrase(tools.messages, "timeout", tone=tone, task_name=summary, user_name=question.asker)
        if questions.settle(tx, question.id, "expired"):
            _forget(question, tools)
            _settled(tx, question, Deed.EXPIRED, "", tools)
            if doubt := still_in_doubt(question, tools):
                self._edit_question(tx, question, text(f"⌛ {why}. {doubt}"))
                return
            self._edit_question(tx, question, lines(marked("⌛", sentence), f"{why}, so nothing was done: {summary}."))

    def _command(self, event: Incoming, tools: Tools) -> list[Effect]:
        where = Where(answer_slot(event.event_id), event.room_id, event.thread, event.event_id)
        try:
            command, call, right = self._understood(event, tools)
            if away.is_past(event, command, right, tools.now()) and begun.of(tools.journal.read(), event.seq) is None:
                return [lambda tx: self._lists(tx, event, tools)]
            answer = picks.run(command, call)
        except SecretTyped as error:
            return [
                self._replies(where, refused(error, event, tools, _named(event.text)), event.sender, tools),
                *self._deletes(event.room_id, event.event_id, tools),
            ]
        except UserError as error:
            return [self._replies(where, refused(error, event, tools, _named(event.text)), event.sender, tools)]
        if isinstance(answer, Ask):
            return [self._asks(event, command, answer, tools)]
        return [
            self._replies(where, greeted(answer, event, tools), event.sender, tools),
            *self._settles(answer, event),
        ]

    def _lists(self, tx: sqlite3.Connection, event: Incoming, tools: Tools) -> None:
        """Into the room's one list of what was not done."""
        slot, said = away.listed(tx, event, tools.settings.bot.command_prefix, tools.life)
        self._poster.post(tx, Where(slot, event.room_id), said)

    def _understood(self, event: Incoming, tools: Tools) -> tuple[Command, Call, Right]:
        tools.access.check_room(event.room_id)
        prefix = tools.settings.bot.command_prefix
        expanded = tools.aliases.expand(event.text, commands())
        given = words(event.text if expanded is None else expanded) or ["help"]
        command = find(given[0], prefix)
        if len(given) == 2 and given[1] in ASKED_FOR:
            given = ["help", command.name]
            command = find(given[0], prefix)
        bound = command.understand(given[1:], prefix)
        right = command.right_for(bound.values)
        tools.access.check(event.sender, right, command.deed)
        where = (event.event_id, event.room_id, event.sender, event.thread)
        call = Call(
            *where, bound.values, tools, bound.options, bound.pairs, bound.raw, event.at, event.target, seq=event.seq
        )
        return command, call, right

    def _verdict(self, event: Incoming, tools: Tools) -> list[Effect]:
        question = self._question_of(event, tools)
        if question is None:
            return self._nudge(event, tools)
        if question.asker not in (event.sender, ANY_ADMIN):
            return []  # a reaction or reply of somebody else counts for nothing and costs no message
        if question.asker == ANY_ADMIN and not tools.access.is_admin(event.sender):
            return []
        if picks.is_one(question.payload):
            return self._words(event, tools)
        if event.text not in VERDICTS:
            return []  # a number on a question that has none
        if event.text == "no" and commands()[question.action].on_no is None:
            return [lambda tx: self._refused(tx, question, event.sender, tools)]
        if question.wants != Wants.YES:
            return [self._nudges(event, question, wanted_words(question))]
        return self._confirmed(event, question, tools)

    def _words(self, event: Incoming, tools: Tools) -> list[Effect]:
        """Words to a question that wants more than a yes: the name that confirms it, or a value."""
        question = self._question_of(event, tools)
        if question is None or question.asker != event.sender:
            return []
        if question.state != "open" and question.settled_by != event.event_id:
            return []
        if question.wants == Wants.YES:
            return []  # said to the step before, when this question had not been asked yet
        is_pick = picks.is_one(question.payload)
        gives_up = question.wants == Wants.NAME or event.text.casefold() in GIVE_UP
        if verdict_of_word(event.text) == "no" and (
            gives_up or (is_pick and picks.meant(question.payload, event.text) is None)
        ):
            return [lambda tx: self._refused(tx, question, event.sender, tools)]
        if question.wants == Wants.NAME:
            if spelled(event.text) == spelled(str(question.payload.get("name", ""))):
                return self._confirmed(event, question, tools)
            return [self._nudges(event, question, wanted_words(question))]
        return self._took(event, question, event.text, tools)

    def _took(self, event: Incoming, question: Question, said: str, tools: Tools) -> list[Effect]:
        """The command goes on with the value, in the room in which it was said."""
        command, home = commands()[question.action], home_of(question) or place_of(question)
        said_at = float(str(question.payload.get("said_at", 0.0)))
        call = Call(
            question.command_event, home.room_id, event.sender, home.thread, {}, tools, at=said_at, seq=event.seq
        )
        token = str(question.payload.get("token", ""))
        sent = launching.is_known(call, token) or begun.of(tools.journal.read(), event.seq) is not None
        over = question.state == "open" and question.expires_at <= tools.now()
        if over and not sent:  # else it goes on after a crash
            return [lambda tx: self._expires(tx, question, "I came to your answer too late", tools)]
        typed = False  # a secret, in the command itself
        try:
            if picks.is_one(question.payload):
                answer = picks.answered(command, call, question.payload, event)
            else:
                assert command.on_words is not None
                tools.access.check(event.sender, command.right_for({}), command.deed)
                answer = command.on_words(call, question.payload, said)
        except UserError as error:
            _forget(question, tools)
            answer = refused(error, event, tools, question.action)
            typed = isinstance(error, SecretTyped)
        if isinstance(answer, Ask):
            return [self._asks_on(question, answer, tools)]
        return [
            *(self._deletes(home.room_id, question.command_event, tools) if typed else []),
            lambda tx: self._closes(tx, question, event),
            lambda tx: self._thanks(tx, question, tools),
            self._replies(home, answer, event.sender, tools),
        ]

    def _secret(self, event: Incoming, tools: Tools) -> list[Effect]:
        """The answer to a question for a secret. Its words are in the vault, or gone with an earlier life of the bot."""
        said, question = tools.vault.heard(event.event_id), self._question_of(event, tools)
        deletes = self._deletes(event.room_id, event.event_id, tools)
        if question is None or question.state != "open" or question.asker != event.sender:
            return deletes
        begun = launches.by_token(tools.journal.read(), str(question.payload.get("token", ""))) is not None
        if said is None and not begun:  # else it had been taken before a crash, and the launch goes on
            return [self._says(event, text(FORGOTTEN_SENTENCE)), *deletes]
        said = said or ""
        if said.casefold() in GIVE_UP:
            tools.vault.unmask(said)
            return [lambda tx: self._refused(tx, question, event.sender, tools)]
        return [*self._took(event, question, said, tools), *deletes]

    def _exposed(self, event: Incoming, tools: Tools) -> list[Effect]:
        """A secret, as it seems, where others can read it; what it was is not known here any more."""
        question = self._question_of(event, tools)
        if question is None or question.state != "open":
            sentence = NO_QUESTION_SENTENCE
        else:
            sentence = CLEAR_SECRET_SENTENCE if question.room_id == event.room_id else ROOM_SECRET_SENTENCE
        told = lines(sentence, deletion(event.room_id, tools))
        return [self._says(event, told), *self._deletes(event.room_id, event.event_id, tools)]

    def _deletes(self, room_id: str, event_id: str, tools: Tools) -> list[Effect]:
        """Takes the message away, unless the bot is known not to be allowed to."""
        if may_delete(room_id, tools) is False:
            return []
        return [lambda tx: outbox.delete(tx, room_id, event_id, "a secret was in it")]

    def _deletes_secret(self, event: Incoming) -> list[Effect]:
        if event.kind not in (Kind.SECRET, Kind.EXPOSED):
            return []
        return self._deletes(event.room_id, event.event_id, self._tools())

    def _thanks(self, tx: sqlite3.Connection, question: Question, tools: Tools) -> None:
        """In a direct chat: the question there is answered, and the rest is told in the room."""
        if question.wants == Wants.SECRET:
            said = f"✔ {question.payload.get('summary', '')}: I have it, and go on in the room where you asked."
            self._poster.post(tx, place_of(question), lines(said, deletion(question.room_id, tools)))

    def _withdrawn(self, event: Incoming, tools: Tools) -> list[Effect]:
        """The command behind an open question was deleted or changed: the question goes with it, and is asked anew."""
        question = questions.of_command(tools.journal.read(), event.target or "", event.sender)
        if question is None:
            return []
        edited = event.kind is Kind.EDITED and bool(event.text)
        why = "changed" if event.kind is Kind.EDITED else "deleted"
        summary = str(question.payload.get("summary", ""))
        home = home_of(question) or place_of(question)

        def withdraw(tx: sqlite3.Connection) -> None:
            if questions.settle(tx, question.id, "withdrawn", event.event_id):
                _forget(question, tools)
                more = " I ask about the new one below." if edited else ""
                _settled(tx, question, Deed.WITHDRAWN, event.sender, tools)
                done = f". {doubt}" if (doubt := still_in_doubt(question, tools)) else ", so nothing was done."
                said = f"✖ Withdrawn: {summary}. You {why} the command{done}{more}"
                self._edit_question(tx, question, text(said))

        if not edited:
            return [withdraw]
        replied = inbox.target_of(tools.journal.read(), event.target or "")  # an edit does not repeat it
        anew = replace(event, kind=Kind.COMMAND, thread=home.thread, target=replied)
        return [withdraw, *self._command(anew, tools)]

    def _closes(self, tx: sqlite3.Connection, question: Question, event: Incoming) -> None:
        questions.settle(tx, question.id, "done", event.event_id)

    def _asks_on(self, question: Question, asked: Ask, tools: Tools) -> Effect:
        """The next step: in the same message while it wants values, else as a question of its own that can be reacted to."""
        seconds = tools.settings.bot.question_seconds
        shown = lines(asked.text, how_to_answer(asked, question.asker, seconds))
        until, home = tools.now() + seconds, home_of(question) or place_of(question)
        values, about = (Wants.VALUE, Wants.SECRET), About(question.asker, question.action, question.command_event)

        def same(tx: sqlite3.Connection) -> None:
            if questions.go_on(tx, question.id, asked.payload, until):
                self._edit_question(tx, question, shown)

        def another(tx: sqlite3.Connection) -> None:
            if not questions.settle(tx, question.id, "done") and question.wants in values:
                return  # given up or too late, while this was worked out
            place = replace_slot(home, f"{home.slot}+")
            self._opens(tx, place, about, asked, tools)
            self._poster.post(tx, home, text(f"✔ {question.payload.get('summary', '')}: go on below."))
            self._thanks(tx, question, tools)
            self._poster.post(tx, place, shown)

        def apart(tx: sqlite3.Connection) -> None:
            if not questions.settle(tx, question.id, "done") and question.wants in values:
                return
            again = question.wants == Wants.SECRET
            if again:
                said = text(f"✔ {question.payload.get('summary', '')}: go on below.")
                self._poster.post(tx, place_of(question), said)
            slot = f"{question.slot}+" if again else f"{home.slot}/direct"
            self._asks_apart(tx, slot, home, about, asked, tools)

        if asked.wants is Wants.SECRET:
            return apart
        return same if asked.wants == question.wants == Wants.VALUE else another

    def _opens(
        self,
        tx: sqlite3.Connection,
        place: Where,
        about: About,
        asked: Ask,
        tools: Tools,
        home: Where | None = None,
    ) -> None:
        """Into the journal; the message is written by the caller."""
        told = {"home": {"slot": home.slot, "room_id": home.room_id, "thread": home.thread}} if home is not None else {}
        questions.ask(
            tx,
            slot=place.slot,
            room_id=place.room_id,
            thread=place.thread,
            asker=about.asker,
            action=about.action,
            payload={**asked.payload, **told},
            command_event=about.command_event,
            now=tools.now(),
            seconds=tools.settings.bot.question_seconds,
            wants=asked.wants,
        )
        _asked(tx, about.asker, place.room_id, asked, about.action, tools)

    def _asks_apart(
        self, tx: sqlite3.Connection, slot: str, home: Where, about: About, asked: Ask, tools: Tools
    ) -> None:
        """The question for a secret in its direct chat, and what is said of it where the command was said."""
        seconds, place = tools.settings.bot.question_seconds, Where(slot, asked.direct)
        self._opens(tx, place, about, asked, tools, home)
        self._poster.post(tx, home, lines(asked.text, how_to_answer(asked, about.asker, seconds)))
        until = datetime.fromtimestamp(tools.now() + seconds, UTC)
        how = f"I wait until {until:%H:%M:%S} UTC. 👎 or “cancel” gives up."
        self._poster.post(tx, place, lines(asked.asked, how), mention=(about.asker,))

    def _nudges(self, event: Incoming, question: Question, sentence: str) -> Effect:
        """Told once for each question how it can be answered."""

        def nudge(tx: sqlite3.Connection) -> None:
            if questions.nudge(tx, question.id):
                self._says(event, text(sentence))(tx)

        return nudge

    def _question_of(self, event: Incoming, tools: Tools) -> Question | None:
        """The one question that is answered; None when there is none or nobody can tell which."""
        read = tools.journal.read()
        settled = questions.settled_with(read, event.event_id)  # before a crash
        if settled is not None:
            return settled
        if event.target is not None or event.thread is not None:
            found = questions.meant(read, event.room_id, event.sender, event.target, event.thread)
            unclear = len(found) > 1 and event.kind in (Kind.ANSWER, Kind.REACTION)  # other words go to the newest
            return found[0] if found and not unclear else None
        open_ones = questions.open_for(read, event.room_id, event.sender)
        if len(open_ones) != 1 or open_ones[0].chatter or outbox.said_since(read, event.room_id, open_ones[0].slot):
            return None
        return open_ones[0] if outbox.in_sight(read, open_ones[0].slot) else None

    def _nudge(self, event: Incoming, tools: Tools) -> list[Effect]:
        if event.kind is not Kind.ANSWER:
            return []
        if event.room_id == OPERATOR_ROOM:
            return [
                self._says(event, text(f"{OPERATOR_SENTENCE} {tools.settings.bot.command_prefix} withdraw lists them."))
            ]
        read = tools.journal.read()
        if event.target is not None or event.thread is not None:
            several = questions.meant(read, event.room_id, event.sender, event.target, event.thread)
            return [self._nudges(event, several[0], SEVERAL_SENTENCE)] if several else []
        open_ones = questions.open_for(read, event.room_id, event.sender)
        return [self._nudges(event, open_ones[0], NUDGE_SENTENCE)] if open_ones else []

    def _refused(self, tx: sqlite3.Connection, question: Question, sender: str, tools: Tools) -> None:
        if questions.settle(tx, question.id, "no"):
            _forget(question, tools)
            _settled(tx, question, Deed.DECLINED, sender, tools)
            summary = str(question.payload.get("summary", ""))
            if doubt := still_in_doubt(question, tools):
                self._edit_question(tx, question, text("✖ I look no more — ") + person(sender) + f". {doubt}")
                return
            tone = tone_of(tools.settings.bot, question.room_id)
            sentence = phrase(tools.messages, "cancel", tone=tone, task_name=summary, user_name=sender)
            self._edit_question(
                tx,
                question,
                lines(marked("✖", sentence), text("Not done: ") + text(summary) + " — " + person(sender)),
            )

    def _confirmed(self, event: Incoming, question: Question, tools: Tools) -> list[Effect]:
        """Settles the question first, in a transaction of its own: a crash later finds it answered, never open."""
        command = commands()[question.action]
        where = place_of(question)
        if question.state == "open" and question.expires_at <= tools.now():
            return [lambda tx: self._expires(tx, question, "I came to your answer too late", tools)]
        verdict = "no" if event.text == "no" and question.wants == Wants.YES else "yes"
        with tools.journal.write() as tx:
            # It may have expired since it was read. Settled by this very event: a crash came after this transaction.
            settled = questions.settle(tx, question.id, verdict, event.event_id)
            if settled:
                _settled(tx, question, Deed.DECLINED if verdict == "no" else Deed.CONFIRMED, event.sender, tools)
            again = not settled and questions.settled_by(tx, question.id, verdict, event.event_id)
        if not (settled or again):
            return []
        if again and command.launches and _is_stale(question, tools):
            return [self._replies(where, Reply(text(STALE_SENTENCE)), event.sender, tools)]
        # What anybody may answer is open for days: there it matters when it was answered, else when it was asked.
        at = event.at if question.asker == ANY_ADMIN else 0.0
        place = (question.command_event, question.room_id, event.sender, question.thread)
        call = Call(*place, {}, tools, at=at, seq=event.seq)
        then = command.on_no if verdict == "no" else command.on_yes
        assert then is not None
        try:
            tools.access.check(event.sender, command.right_for({}), command.deed)
            answer = then(call, question.payload)
        except UserError as error:
            answer = refused(error, event, tools, question.action)
        if isinstance(answer, Ask):
            return [self._asks_on(question, answer, tools)]
        return [self._replies(where, answer, event.sender, tools), *self._settles(answer, event)]

    def _settles(self, reply: Reply, event: Incoming) -> list[Effect]:
        """The questions that a command has answered; their messages say what came of them."""

        def settle(question: Question, state: str, said: Text) -> Effect:
            def effect(tx: sqlite3.Connection) -> None:
                if questions.settle(tx, question.id, state, event.event_id):
                    self._edit_question(tx, question, said + person(event.sender))

            return effect

        summaries = {each.id: text(str(each.payload.get("summary", ""))) for each in (*reply.accepted, *reply.declined)}
        return [
            *(settle(each, "yes", text("✅ Done: ") + summaries[each.id] + " — ") for each in reply.accepted),
            *(settle(each, "no", text("✖ Not done: ") + summaries[each.id] + " — ") for each in reply.declined),
        ]

    def _edit_question(self, tx: sqlite3.Connection, question: Question, value: Text) -> None:
        rank = Priority.ANSWER if question.asker == ANY_ADMIN else rank_of(question.asker, self._tools())
        self._poster.post(tx, place_of(question), value, priority=rank)
        home = home_of(question)
        if home is not None:
            self._poster.post(tx, home, value, priority=rank)

    def _says(self, event: Incoming, value: Text) -> Effect:
        where = Where(answer_slot(event.event_id), event.room_id, event.thread, event.event_id)
        known = event.kind not in (Kind.CLEAR, Kind.FORGED, Kind.UNREADABLE)  # else anybody may have said it
        rank = rank_of(event.sender, self._tools()) if known else Priority.STATE
        return lambda tx: self._poster.post(tx, where, value, priority=rank)

    def _ends(self, event: Incoming, value: Text) -> Effect:
        """Where the answer was to stand: in the place of the question that the event had answered, if it had."""

        def end(tx: sqlite3.Connection) -> None:
            question = questions.settled_with(tx, event.event_id)
            if question is not None:
                self._edit_question(tx, question, value)
            else:
                self._says(event, value)(tx)

        return end

    def _replies(self, where: Where, reply: Reply, who: str, tools: Tools) -> Effect:
        return Answering(where, reply, who, tools.now(), self._poster, rank_of(who, tools))

    def _asks(self, event: Incoming, command: Command, asked: Ask, tools: Tools) -> Effect:
        if asked.wants in (Wants.VALUE, Wants.SECRET) and event.thread is None and event.room_id != OPERATOR_ROOM:
            event = replace(event, thread=event.event_id)  # a form does not fill the room
        seconds = tools.settings.bot.question_seconds
        how = how_to_answer(asked, event.sender, seconds)
        place = Where(answer_slot(event.event_id), event.room_id, event.thread, event.event_id)
        about = About(event.sender, command.name, event.event_id)

        def ask(tx: sqlite3.Connection) -> None:
            self._opens(tx, place, about, asked, tools)
            self._poster.post(tx, place, lines(asked.text, how), priority=rank_of(event.sender, tools))

        def apart(tx: sqlite3.Connection) -> None:
            slot = f"{place.slot}/direct"
            self._asks_apart(tx, slot, place, about, asked, tools)

        return apart if asked.wants is Wants.SECRET else ask

    def _commit(self, event: Incoming, tools: Tools, effects: list[Effect]) -> None:
        try:
            with tools.journal.write() as tx:
                begun.forget(tx, event.seq)
                if not inbox.finish(tx, event.seq):
                    log.warning("the result for %s came after it had been answered; it is thrown away", event.event_id)
                    return
                for effect in effects:
                    effect(tx)
        except UserError as error:  # a deed that came too late: nothing of its reply holds
            told = refused(error, event, tools, _named(event.text))
            self._commit(event, tools, [_instead(effect, told) for effect in effects])
            return
        for effect in effects:
            if isinstance(effect, Answering) and effect.reply.then is not None:
                effect.reply.then()
        self._wake()


def rank_of(who: str, tools: Tools) -> Priority:
    """When somebody is answered: who may start and stop things before everybody else."""
    return Priority.ANSWER if tools.access.is_admin(who) else Priority.STATE


def _is_stale(question: Question, tools: Tools) -> bool:
    """Whether a crash held up a yes until its time was over, and nothing of the launch was begun."""
    token = str(question.payload.get("token", ""))
    return question.expires_at <= tools.now() and launches.by_token(tools.journal.read(), token) is None


def still_in_doubt(question: Question, tools: Tools) -> str:
    """What stays true of a launch in doubt whose question is closed without a yes; empty for every other question."""
    if "doubt" not in question.payload:
        return ""
    token, prefix = question.payload["token"], tools.settings.bot.command_prefix
    return (
        f"I still do not know whether {question.payload.get('summary', '')} was started: look in Semaphore for a task whose "
        f"message contains {token}. {prefix} resolve {token} settles it."
    )


def place_of(question: Question) -> Where:
    """Where a question's message is. One that no command asked (about a settings file) replies to nothing, nor does one
    in a direct chat."""
    own = question.command_event == question.slot or home_of(question) is not None
    replied = None if own else question.command_event
    return Where(question.slot, question.room_id, question.thread, replied)


def replace_slot(where: Where, slot: str) -> Where:
    """The same place for another message."""
    return replace(where, slot=slot)


def how_to_answer(asked: Ask, asker: str, seconds: float) -> Text:
    """The last line of every question."""
    who = f"Only {asker} can answer, within {minutes(seconds)}."
    match asked.wants:
        case Wants.NAME:
            name = code(asked.payload.get("name", ""))
            return text("To do it, reply to this message with ") + name + f". 👎 or “no” does not. {who}"
        case Wants.VALUE:
            return text(f"Reply to this message, or say it in this thread. 👎 or “cancel” gives up. {who}")
        case Wants.SECRET:
            return text(f"👎 or “cancel” here gives up. {who}")
        case _:
            return text(f"👍 or “yes” does it, 👎 or “no” does not. {who}")


def spelled(name: str) -> str:
    """A name as it is typed or copied: clients show a run of blanks as one, and letters have more than one form."""
    return " ".join(unicodedata.normalize("NFC", name).split())


def wanted_words(question: Question) -> str:
    """What to say to a question that a yes cannot answer."""
    if question.wants == Wants.NAME:
        return f"This one needs more than a yes: reply to my question with “{question.payload.get('name', '')}”."
    if question.wants == Wants.SECRET:
        return "I asked for a secret in our direct chat: say it there, never in a room."
    return "I need a value there, not a yes: reply to my question with it."


def may_delete(room_id: str, tools: Tools) -> bool | None:
    """Whether the bot may take away what others said in a room; None: not known."""
    return next((room.may_delete for room in tools.rooms() if room.room_id == room_id), None)


def deletion(room_id: str, tools: Tools) -> str:
    """What becomes of a message with a secret in this room, as a sentence."""
    match may_delete(room_id, tools):
        case True:
            return "I deleted your message."
        case False:
            return "I may not delete messages here: please delete yours yourself."
        case _:
            return "I try to delete your message; if it is still there in a minute, please delete it yourself."


def _forget(question: Question, tools: Tools) -> None:
    """The secrets of a launch that will not be go at once."""
    tools.vault.forget(str(question.payload.get("token", "")))


def marked(symbol: str, sentence: Text) -> Text:
    """A symbol and a sentence; nothing where the room's tone is silent."""
    return text(f"{symbol} ") + sentence if sentence else Text()


def refusal(error: UserError, event: Incoming, tools: Tools) -> Text:
    """How an error is told: NotAllowed with a brush_off message in front, everything with its plain reason."""
    if not isinstance(error, NotAllowed) or isinstance(error, WrongRoom):
        return text(f"{'⛔' if isinstance(error, WrongRoom) else '⚠'} {error.sentence}")
    tone = tone_of(tools.settings.bot, event.room_id)
    brushed = phrase(tools.messages, "brush_off", tone=tone, user_name=event.sender)
    return lines(marked("⛔", brushed), error.sentence)


def refused(error: UserError, event: Incoming, tools: Tools, command: str) -> Reply:
    """The refusal as an answer; what somebody had no right to is noted."""
    notes = (Note(Deed.REFUSED, command, error.sentence),) if isinstance(error, NotAllowed) else ()
    deleted = deletion(event.room_id, tools) if isinstance(error, SecretTyped) else ""
    return Reply(lines(refusal(error, event, tools), deleted), notes=notes)


def _instead(effect: Effect, reply: Reply) -> Effect:
    """The effect, or where its reply held a deed, the other reply."""
    return replace(effect, reply=reply) if isinstance(effect, Answering) and effect.reply.deed is not None else effect


def _distrusted(event: Incoming, why: str, tools: Tools) -> Effect:
    """Notes a message that was no command because nobody can tell whose it is; its words are not kept."""
    return lambda tx: audit.note(tx, Deed.REFUSED, who=event.sender, room_id=event.room_id, detail=why, now=tools.now())


def _asked(tx: sqlite3.Connection, who: str, room_id: str, asked: Ask, command: str, tools: Tools) -> None:
    subject = str(asked.payload.get("summary", ""))
    audit.note(tx, Deed.ASKED, who=who, room_id=room_id, subject=subject, detail=command, now=tools.now())


def _settled(tx: sqlite3.Connection, question: Question, deed: Deed, who: str, tools: Tools) -> None:
    summary = str(question.payload.get("summary", ""))
    audit.note(tx, deed, who=who, room_id=question.room_id, subject=summary, detail=question.action, now=tools.now())


def _named(words_typed: str) -> str:
    """The command that was typed, as far as there is one of this name: nothing else of the line is kept."""
    first = words_typed.split(maxsplit=1)[:1]
    return first[0].casefold() if first and first[0].casefold() in commands() else ""


def greeted(reply: Reply, event: Incoming, tools: Tools) -> Reply:
    """With a greeting in front, where greetings are wanted."""
    bot = tools.settings.bot
    if not (reply.greet and bot.greetings_enabled and (not bot.greeting_rooms or event.room_id in bot.greeting_rooms)):
        return reply
    greeting = phrase(tools.messages, "greetings", tone=tone_of(bot, event.room_id), name=event.sender)
    return replace(reply, text=lines(greeting, reply.text))


def minutes(seconds: float) -> str:
    """A time span as people say it."""
    return humanize.precisedelta(timedelta(seconds=seconds), minimum_unit="seconds", format="%0.0f")
