"""Rich text: both forms say the same, and no value ever becomes markup."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from html.parser import HTMLParser

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from chatrixcd_threads.text import markup
from chatrixcd_threads.text.markup import (
    Text,
    bold,
    bullets,
    clean,
    code,
    from_markdown,
    join,
    lines,
    one_line,
    person,
    pre,
    table,
    text,
)

TAGS = frozenset(["strong", "em", "code", "pre", "a", "br", "ul", "li", "table", "thead", "tbody", "tr", "th", "td"])
NASTY = [
    '<img src=x onerror="alert(1)">',
    "</code></pre><h1>",
    "a & b &lt; c",
    "**not bold** `no code`",
    "'\"><",
    "&quot;",
]
values = st.one_of(st.sampled_from(NASTY), st.text(max_size=30))


class Reader(HTMLParser):
    """Which tags stand in the HTML, and what a person reads."""

    def __init__(self, marked: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.open: list[str] = []
        self.read = ""
        self.feed(marked)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        assert [name for name, _ in attrs] == (["href"] if tag == "a" else [])
        if tag != "br":
            self.open.append(tag)
        else:
            self.read += "\n"

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.read += data


def read(marked: str) -> str:
    reader = Reader(marked)
    assert set(reader.tags) <= TAGS
    assert reader.open == []
    return reader.read


def squeezed(value: str) -> str:
    return re.sub(r"\s+", "", value.replace("•", ""))


MAKERS: dict[str, Callable[[str], Text]] = {
    "text": text,
    "bold": bold,
    "code": code,
    "pre": pre,
    "person": person,
    "bullets": lambda value: bullets([value, bold(value)]),
    "table": lambda value: table(("head", value), [(value, bold(value)), (value, value)]),
    "lines": lambda value: lines(value, bold(value), pre(value), "", value),
    "join": lambda value: join([value, code(value)], value),
    "add": lambda value: text("a ") + value + bold(value),
}


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
@given(value=values)
def test_a_value_is_read_as_it_is_in_both_forms(make: Callable[[str], Text], value: str) -> None:
    made = make(value)
    assert squeezed(read(made.html)) == squeezed(made.plain)
    assert clean(value).strip() in made.plain or "\n" in value or "\r" in value


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
@given(value=st.text(max_size=20))
def test_no_value_adds_a_tag(make: Callable[[str], Text], value: str) -> None:
    assume(clean(value))
    found, expected = ([tag for tag in Reader(make(each).html).tags if tag != "br"] for each in (value, "x"))
    assert found == expected


def test_line_breaks_of_a_value_are_line_breaks_in_both_forms() -> None:
    assert text("a\nb") == Text("a\nb", "a<br>b")


@pytest.mark.parametrize("hidden", ["\x00", "\x1b[31m", "\u202eevil", "\u2066", "\x7f", "\r"])
def test_what_cannot_be_seen_is_taken_out(hidden: str) -> None:
    assert not set(clean(f"a{hidden}b")) & {"\x00", "\x1b", "\u202e", "\u2066", "\x7f", "\r"}


def test_lines_leave_empty_parts_out_and_put_no_break_around_blocks() -> None:
    assert lines("a", "", text(""), "b") == Text("a\nb", "a<br>b")
    assert lines("a", bullets(["b"]), "c") == Text("a\n• b\nc", "a<ul><li>b</li></ul>c")
    assert lines("a", pre("b"), "c") == Text("a\nb\nc", "a<pre><code>b</code></pre>c")
    assert lines() == Text()
    assert not lines("", "")


def test_a_list_without_items_is_nothing() -> None:
    assert bullets([]) == Text()


def test_a_table_has_aligned_columns_in_its_plain_form() -> None:
    made = table(("id", "name"), [(7, "Deploy"), (1234, bold("x"))])
    assert made.plain == "\nid    name\n7     Deploy\n1234  x"
    assert made.html.count("<tr>") == 3
    assert "<th>name</th>" in made.html
    assert "<td><strong>x</strong></td>" in made.html


def test_a_table_without_rows_has_its_head() -> None:
    assert table(("id", "name"), []).plain == "\nid  name"


def test_a_row_that_does_not_fit_its_head_is_an_error_of_ours() -> None:
    with pytest.raises(ValueError, match="zip"):
        table(("id",), [(1, 2)])


def test_a_person_is_a_link_to_that_person() -> None:
    made = person('@a"><b>/../x:example.org')
    assert made.plain == '@a"><b>/../x:example.org'
    assert made.html.startswith('<a href="https://matrix.to/#/@a%22%3E%3Cb%3E%2F..%2Fx:example.org">')


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("plain", Text("plain", "plain")),
        ("**bold** x", Text("bold x", "<strong>bold</strong> x")),
        ("*em* and `co*de`", Text("em and co*de", "<em>em</em> and <code>co*de</code>")),
        (r"\*\*not\*\*", Text("**not**", "**not**")),
        ("<b>x</b> [a](http://x) # h", Text("<b>x</b> [a](http://x) # h", "&lt;b&gt;x&lt;/b&gt; [a](http://x) # h")),
        ("one\ntwo", Text("one\ntwo", "one<br>two")),
        ("", Text()),
    ],
)
def test_sentences_of_messages_json(source: str, expected: Text) -> None:
    assert from_markdown(source) == expected


@given(source=st.text(max_size=60))
def test_no_sentence_of_messages_json_can_break_the_html(source: str) -> None:
    made = from_markdown(source)
    assert squeezed(read(made.html)) == squeezed(made.plain)


def test_every_maker_is_tested() -> None:
    public = {name for name, value in vars(markup).items() if getattr(value, "__module__", "") == markup.__name__}
    assert {name for name in public if not name.startswith("_")} - {
        "Text",
        "clean",
        "from_markdown",
        "one_line",
    } <= MAKERS.keys()


def test_a_name_full_of_blanks_holds_nobody_up() -> None:
    begun = time.process_time()
    assert one_line(f"a{' ' * 300_000}b") == f"a{' ' * 300_000}b"
    assert one_line(f"a \n{' ' * 300_000}\r\n b") == "a b"
    assert time.process_time() - begun < 5
