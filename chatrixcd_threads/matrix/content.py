"""From outbox rows to the content of Matrix events."""

from __future__ import annotations

from typing import Any, Final

HTML: Final = "org.matrix.custom.html"


def message(row: dict[str, Any], edits: str | None) -> dict[str, Any]:
    """A notice: it needs nobody's attention but that of those it mentions. An edit carries the new content inside."""
    body: dict[str, Any] = {
        "msgtype": "m.notice",
        "body": row["plain"],
        "format": HTML,
        "formatted_body": row["html"],
        "m.mentions": mentions(row),
    }
    if edits is None:
        return body | relation(row)
    starred = {"body": f"* {row['plain']}", "formatted_body": f"* {row['html']}"}
    return body | starred | {"m.new_content": body, "m.relates_to": {"rel_type": "m.replace", "event_id": edits}}


def file(row: dict[str, Any], uri: str, keys: dict[str, Any] | None) -> dict[str, Any]:
    """An uploaded file; in an encrypted room its keys stand in the event instead of a plain address."""
    place: dict[str, Any] = {"file": {"url": uri, **keys}} if keys else {"url": uri}
    described = {"mimetype": "text/plain", "size": row["size"]}
    named = {"msgtype": "m.file", "body": row["file_name"], "filename": row["file_name"], "info": described}
    return named | place | {"m.mentions": mentions(row)} | relation(row)


def mentions(row: dict[str, Any]) -> dict[str, Any]:
    """Who is notified. Always present: a name inside a log line must not ring anybody's phone."""
    people = row.get("mention") or []
    return {"user_ids": list(people)} if people else {}


def relation(row: dict[str, Any]) -> dict[str, Any]:
    """Thread and reply. In a thread the reply is only the fallback for clients without threads."""
    thread, reply_to = row.get("thread"), row.get("reply_to")
    if thread:
        fallback = {"is_falling_back": True, "m.in_reply_to": {"event_id": reply_to or thread}}
        return {"m.relates_to": {"rel_type": "m.thread", "event_id": thread, **fallback}}
    return {"m.relates_to": {"m.in_reply_to": {"event_id": reply_to}}} if reply_to else {}
