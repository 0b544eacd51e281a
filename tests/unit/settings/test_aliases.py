"""Aliases: which files are taken, what they expand to, and that adding and removing loses nothing."""

from __future__ import annotations

import codecs
import shlex
import stat
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatrixcd_threads.errors import ConfigError, NotFound, UsageError
from chatrixcd_threads.settings.aliases import MAX_LINE, AliasManager, check, fill, joined
from chatrixcd_threads.settings.document import BadFileError, parse
from chatrixcd_threads.settings.hot import Changed, Held

COMMANDS = {"run", "status", "logs", "help", "stop"}


def manager(path: Path) -> AliasManager:
    return AliasManager(path / "aliases.json", builtins=lambda: COMMANDS)


def refused(text: str) -> tuple[str, ...]:
    with pytest.raises(BadFileError) as caught:
        check(parse(text, "aliases.json"), COMMANDS)
    return caught.value.problems


def test_taken() -> None:
    text = '{"$schema": "x", "_note": [1], "Deploy": " run 1 {1} ", "d": "DEPLOY web"}'
    aliases, warnings = check(parse(text, "aliases.json"), COMMANDS)
    assert dict(aliases) == {"deploy": "run 1 {1}", "d": "DEPLOY web"}
    assert warnings == ()


def test_a_bare_command_with_a_comment_is_warned_of() -> None:
    _, warnings = check(parse("{\n  s: status // short\n}", "aliases.json"), COMMANDS)
    assert warnings == ("aliases.json line 2: s has no quotes and so takes all of its line, with comma or comment",)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('{"a b": "run"}', "a b: the name of an alias is one word"),
        ('{"": "run"}', "the name of an alias is one word"),
        ('{"a\'b": "run"}', "the name of an alias is one word"),
        ('{"-a": "run"}', "-a: a name that begins with -"),
        ('{"!cda": "run"}', "!cda: the name is used without the prefix !cd"),
        ('{"RUN": "status"}', "RUN: there is a command with this name"),
        ('{"' + "n" * 65 + '": "run"}', "longer than 64"),
        ('{"a": 5}', "a: expected a command as text, got a number"),
        ('{"a": null}', "a: expected a command as text, got null"),
        ('{"a": {"command": "run"}}', "a: expected a command as text, got an object"),
        ('{"a": " "}', "a: the command is empty"),
        ('{"a": "run\\nstop"}', "a: a command is one line of text"),
        ('{"a": "run \\u0007"}', "a: a command is one line of text"),
        ('{"a": "' + "run " * 300 + '"}', "longer than 1000"),
        ('{"a": "run \'x"}', "a: the command has a quotation mark"),
        ('{"a": "run {2}"}', "a: placeholders are counted from {1}"),
        ('{"a": "run {0}"}', "a: placeholders are counted from {1}"),
        ('{"a": "!cd run"}', "a: leave the prefix !cd out"),
        ('{"a": "\'run\' 1"}', "a: the first word is a command"),
        ('{"a": "rnu 1"}', "a: there is no command or alias rnu (did you mean run?)"),
        ('{"a": "{1} x"}', "a: there is no command or alias {1}"),
        ('{"a": "run",\n "A": "status"}', "aliases.json line 2: A: this alias was already given as a"),
        ('{"a": "a 1"}', "aliases.json line 1: a: these aliases go round for ever: a → a"),
        (
            '{\n"x": "b",\n"b": "c",\n"c": "B 1"}',
            "aliases.json line 3: b: these aliases go round for ever: b → c → b",
        ),
    ],
)
def test_refused(text: str, sentence: str) -> None:
    problems = refused(text)
    assert len(problems) == 1
    assert sentence in problems[0]
    assert problems[0].startswith("aliases.json line ")


def test_every_loop_once_and_all_problems_in_order() -> None:
    problems = refused('{\n"a": "b",\n"b": "a",\n"c": "c",\n"d": "",\n"e": "c"}')
    assert [problem.split(":")[0] for problem in problems] == [f"aliases.json line {line}" for line in (2, 4, 5)]


@pytest.mark.parametrize(
    ("line", "expanded"),
    [
        ("ps", "status"),
        ("PS 42", "status 42"),
        ("  ps   'a  b'", "status 'a  b'"),
        ('ps "not closed', 'status "not closed'),
        ("deploy web", "run 1 web"),
        ("deploy 'my web'", "run 1 'my web'"),
        ("deploy web extra 'two words'", "run 1 web extra 'two words'"),
        ("deploy '; stop'", "run 1 '; stop'"),
        ("deploy ''", "run 1 ''"),
        ("deploy {1}", "run 1 '{1}'".replace("'", "")),
        ("tail", "logs"),
        ("tail 1 'b c'", "logs 1 'b c'"),
        ("mix a b c d", "run b 'x a y' c d z"),
        ("glue a 'b c'", "run 'm=a b c'"),
        ("chain web", "run 1 web"),
        ("status 4", None),
        ("nothing", None),
        ("", None),
    ],
)
def test_expanded(line: str, expanded: str | None, tmp_path: Path) -> None:
    (tmp_path / "aliases.json").write_text(
        """{ps: status
        deploy: run 1 {1}
        tail: logs {*}
        mix: run {2} "x {1} y" {*} z
        glue: run m={*}
        chain: Deploy {1}
        }"""
    )
    made = manager(tmp_path)
    assert made.error is None
    assert made.expand(line, COMMANDS) == expanded


def test_a_command_that_came_later_is_never_hidden(tmp_path: Path) -> None:
    (tmp_path / "aliases.json").write_text('{"ps": "status"}')
    assert manager(tmp_path).expand("ps", COMMANDS | {"ps"}) is None


def test_words_that_are_missing() -> None:
    with pytest.raises(UsageError, match=r"“d” needs 2 words after it, I got 1. It stands for: run \{1\} \{2\}"):
        fill("d", "run {1} {2}", "web")
    with pytest.raises(UsageError, match="not closed"):
        fill("d", "run {1}", "'web")


def test_growth_ends(tmp_path: Path) -> None:
    chain = {f"a{n}": f"a{n + 1} {{1}}{{1}}" for n in range(60)} | {"a60": "run {1}"}
    (tmp_path / "aliases.json").write_text(str(chain).replace("'", '"'))
    made = manager(tmp_path)
    assert made.error is None
    with pytest.raises(UsageError, match="too long"):
        made.expand("a0 xx", COMMANDS)


@settings(deadline=None)
@given(st.lists(st.text(max_size=10), max_size=5))
def test_no_word_gets_out_of_its_place(words: list[str]) -> None:
    assert shlex.split(joined(words)) == words
    filled = fill("d", "run {1} --limit={2} {*}", joined(["a", "b", *words]))
    assert shlex.split(filled) == ["run", "a", "--limit=b", *words]
    if words:
        whole = fill("d", "run {1}", joined(words))
        assert shlex.split(whole) == ["run", *words]
        assert len(whole) <= MAX_LINE


class TestManager:
    def test_without_a_file(self, tmp_path: Path) -> None:
        made = manager(tmp_path)
        assert dict(made.now) == {}
        assert made.error is None
        assert not (tmp_path / "aliases.json").exists()

    def test_a_bad_file_at_the_first_start(self, tmp_path: Path) -> None:
        path = tmp_path / "aliases.json"
        path.write_text('{"ps": "status",\n "x": "nothing"}')
        made = manager(tmp_path)
        assert dict(made.now) == {}
        assert made.error is not None
        assert "line 2" in made.error.sentence
        with pytest.raises(ConfigError, match="the file has a mistake"):
            made.add("ls", "help")
        with pytest.raises(ConfigError, match="the file has a mistake"):
            made.remove("ps")
        assert "nothing" in path.read_text()

    def test_a_bad_edit_keeps_the_aliases(self, tmp_path: Path) -> None:
        path = tmp_path / "aliases.json"
        path.write_text('{"ps": "status"}')
        made = manager(tmp_path)
        path.write_text('{"ps": "status",, ')
        made.check_for_changes()
        assert made.expand("ps", COMMANDS) == "status"
        assert made.error is not None
        path.write_text('{"ps": "status 1"}')
        assert isinstance(made.check_for_changes(), Changed)
        assert made.expand("ps", COMMANDS) == "status 1"

    def test_add_makes_the_file(self, tmp_path: Path) -> None:
        made = manager(tmp_path)
        outcome = made.add("Deploy", " run 1 {1} ")
        assert outcome is not None
        assert [(diff.key, diff.before, diff.after) for diff in outcome.diffs] == [("deploy", None, "run 1 {1}")]
        path = tmp_path / "aliases.json"
        assert path.read_text() == '{\n  "Deploy": "run 1 {1}"\n}\n'
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert made.expand("deploy x", COMMANDS) == "run 1 x"
        assert made.check_for_changes() is None  # it counts already
        assert dict(manager(tmp_path).now) == {"deploy": "run 1 {1}"}

    def test_everything_else_stays(self, tmp_path: Path) -> None:
        path = tmp_path / "aliases.json"
        text = '\ufeff// ours\r\n{\r\n\t"$schema": "./x", // where\r\n\t"_note": {"b": 2, "a": 1},\r\n\t\'ps\': \'status\',\r\n}\r\n'
        path.write_bytes(text.encode())
        made = manager(tmp_path)
        made.add("ls", "help")
        assert path.read_bytes().decode() == text.replace("'status',", '\'status\',\r\n\t"ls": "help",')
        assert path.read_bytes().startswith(codecs.BOM_UTF8)
        made.remove("LS")
        assert path.read_bytes().decode() == text

    def test_again_and_otherwise(self, tmp_path: Path) -> None:
        made = manager(tmp_path)
        made.add("ps", "status")
        assert made.add("PS", "status") is None
        with pytest.raises(ConfigError, match=r"the alias “ps” stands for “status”. Remove it first."):
            made.add("Ps", "logs")

    @pytest.mark.parametrize(
        ("name", "command", "sentence"),
        [
            ("run", "status", "I did nothing: run: there is a command with this name, and an alias must not hide it."),
            ("x", "nope", "I did nothing: x: there is no command or alias nope."),
            ("x", "x", "I did nothing: x: these aliases go round for ever: x → x."),
            ("x", "", "I did nothing: x: the command is empty."),
            ("a b", "run", "I did nothing: a b: the name of an alias is one word without blanks"),
            ("_x", "run", "I did nothing"),
        ],
    )
    def test_what_is_not_added(self, name: str, command: str, sentence: str, tmp_path: Path) -> None:
        made = manager(tmp_path)
        made.add("ps", "status")
        before = (tmp_path / "aliases.json").read_bytes()
        with pytest.raises(ConfigError) as caught:
            made.add(name, command)
        assert caught.value.sentence.startswith(sentence)
        assert (tmp_path / "aliases.json").read_bytes() == before
        assert dict(made.now) == {"ps": "status"}

    def test_what_no_file_can_hold(self, tmp_path: Path) -> None:
        made = manager(tmp_path)
        with pytest.raises(ConfigError, match="I changed nothing"):
            made.add("x", "run \ud800")
        assert not (tmp_path / "aliases.json").exists()

    def test_remove(self, tmp_path: Path) -> None:
        made = manager(tmp_path)
        made.add("ps", "status")
        made.add("p", "ps")
        with pytest.raises(ConfigError, match="I did nothing: p: there is no command or alias ps"):
            made.remove("ps")
        with pytest.raises(NotFound, match=r"there is no alias “pss”\. Did you mean “ps”"):
            made.remove("pss")
        with pytest.raises(NotFound):
            made.remove("$schema")
        made.remove("p")
        made.remove("ps")  # the last one: asked for, so it is not held as an emptied file is
        assert dict(made.now) == {}
        assert (tmp_path / "aliases.json").read_text() == "{\n}\n"

    def test_a_file_that_went_away_is_not_made_anew(self, tmp_path: Path) -> None:
        made = manager(tmp_path)
        made.add("ps", "status")
        (tmp_path / "aliases.json").unlink()
        with pytest.raises(ConfigError, match="has gone away"):
            made.add("ls", "help")
        assert not (tmp_path / "aliases.json").exists()

    def test_an_emptied_file_is_not_written(self, tmp_path: Path) -> None:
        path = tmp_path / "aliases.json"
        made = manager(tmp_path)
        made.add("ps", "status")
        path.write_text("{}")
        with pytest.raises(ConfigError, match="just emptied"):
            made.add("ls", "help")
        assert isinstance(made.check_for_changes(), Held)
        with pytest.raises(ConfigError, match="still waits"):
            made.add("ls", "help")
        assert path.read_text() == "{}"
        assert dict(made.now) == {"ps": "status"}

    def test_an_edit_that_the_watch_has_not_seen_is_taken_along(self, tmp_path: Path) -> None:
        path = tmp_path / "aliases.json"
        made = manager(tmp_path)
        made.add("ps", "status")
        path.write_text('{"ps": "status", "l": "logs"}')
        with pytest.raises(ConfigError, match="stands for “logs”"):
            made.add("L", "help")
        made.add("h", "help")
        assert dict(made.now) == {"ps": "status", "l": "logs", "h": "help"}

    def test_two_hands_at_once(self, tmp_path: Path) -> None:
        path = tmp_path / "aliases.json"
        made = manager(tmp_path)
        made.add("ps", "status")

        def change(text: str | None) -> str:
            path.write_text('{"other": "help"}')
            return '{"ps": "help"}'

        with pytest.raises(ConfigError, match="saved by somebody else at the same moment"):
            made.hot.edit(change)
        assert path.read_text() == '{"other": "help"}'

    def test_no_room_on_the_disk(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        made = manager(tmp_path)
        made.add("ps", "status")
        before = (tmp_path / "aliases.json").read_bytes()

        def full(handle: int) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("os.fsync", full)
        with pytest.raises(ConfigError, match=r"could not be written: No space left on device. Nothing was changed"):
            made.add("ls", "help")
        assert (tmp_path / "aliases.json").read_bytes() == before
        assert dict(made.now) == {"ps": "status"}
        assert not list(tmp_path.glob(".*.new"))

    def test_a_file_that_is_not_text(self, tmp_path: Path) -> None:
        path = tmp_path / "aliases.json"
        path.write_bytes(b'{"ps": "st\xff"}')
        made = manager(tmp_path)
        with pytest.raises(ConfigError, match="not UTF-8"):
            made.add("ls", "help")
        assert path.read_bytes() == b'{"ps": "st\xff"}'

    def test_a_link_stays_a_link(self, tmp_path: Path) -> None:
        real = tmp_path / "real.json"
        real.write_text('{"ps": "status"}')
        (tmp_path / "aliases.json").symlink_to(real)
        manager(tmp_path).add("ls", "help")
        assert (tmp_path / "aliases.json").is_symlink()
        assert '"ls"' in real.read_text()


@settings(deadline=None)
@given(st.text(max_size=200))
def test_any_text_is_taken_or_refused(text: str) -> None:
    try:
        aliases, _ = check(parse(text, "aliases.json"), COMMANDS)
    except ConfigError as caught:
        problem = caught.sentence
    else:
        problem = "aliases.json"
        assert all(isinstance(command, str) and command for command in aliases.values())
    assert problem.startswith("aliases.json")
