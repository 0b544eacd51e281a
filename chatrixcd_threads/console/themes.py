"""Colours as data: for each theme and style the 16-colour, the monochrome and the 256/true-colour form.

A state is always a word and a symbol too: in monochrome every style that must be seen has bold, underline or standout.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

PaletteLine = tuple[str, str, str, str, str, str]

MONO: Final[Mapping[str, str]] = {
    "body": "",
    "dim": "",
    "title": "bold",
    "header": "standout",
    "tab": "bold",
    "footer": "standout",
    "key": "bold",
    "focus": "standout",
    "match": "underline",
    "ok": "",
    "busy": "bold",
    "warn": "bold",
    "bad": "bold,underline",
    "dialog": "",
    "edit": "",
}
STYLES: Final = tuple(MONO)

_DEFAULT: Final[Mapping[str, tuple[str, str, str, str]]] = {
    "body": ("default", "default", "default", "default"),
    "dim": ("dark gray", "default", "g58", "default"),
    "title": ("default,bold", "default", "default,bold", "default"),
    "header": ("white", "dark blue", "#fff", "#048"),
    "tab": ("yellow,bold", "dark blue", "#ff8,bold", "#048"),
    "footer": ("light gray", "dark blue", "#ddd", "#048"),
    "key": ("yellow", "dark blue", "#ff8", "#048"),
    "focus": ("black", "light gray", "#000", "#8cf"),
    "match": ("black", "brown", "#000", "#fc6"),
    "ok": ("dark green", "default", "#6c6", "default"),
    "busy": ("dark cyan", "default", "#6cf", "default"),
    "warn": ("brown", "default", "#fa0", "default"),
    "bad": ("light red,bold", "default", "#f66,bold", "default"),
    "dialog": ("white", "dark blue", "#fff", "#048"),
    "edit": ("default", "default", "default", "default"),
}
_MIDNIGHT: Final[Mapping[str, tuple[str, str, str, str]]] = {
    "body": ("light gray", "black", "#bcd", "#012"),
    "dim": ("dark gray", "black", "#689", "#012"),
    "title": ("white,bold", "black", "#fff,bold", "#012"),
    "header": ("light cyan", "dark blue", "#9df", "#024"),
    "tab": ("white,bold", "dark blue", "#fff,bold", "#024"),
    "footer": ("light gray", "dark blue", "#abc", "#024"),
    "key": ("light cyan", "dark blue", "#6df", "#024"),
    "focus": ("white", "dark blue", "#fff", "#048"),
    "match": ("black", "light cyan", "#000", "#6df"),
    "ok": ("light green", "black", "#6d8", "#012"),
    "busy": ("light cyan", "black", "#6df", "#012"),
    "warn": ("yellow", "black", "#fd6", "#012"),
    "bad": ("light red,bold", "black", "#f68,bold", "#012"),
    "dialog": ("white", "dark blue", "#fff", "#024"),
    "edit": ("white", "black", "#fff", "#012"),
}
_GRAYSCALE: Final[Mapping[str, tuple[str, str, str, str]]] = {
    "body": ("light gray", "black", "g78", "g7"),
    "dim": ("dark gray", "black", "g50", "g7"),
    "title": ("white,bold", "black", "g100,bold", "g7"),
    "header": ("black", "light gray", "g0", "g74"),
    "tab": ("white,bold", "dark gray", "g100,bold", "g27"),
    "footer": ("black", "light gray", "g0", "g74"),
    "key": ("black,bold", "light gray", "g0,bold", "g74"),
    "focus": ("black", "white", "g0", "g93"),
    "match": ("white,underline", "black", "g100,underline", "g27"),
    "ok": ("light gray", "black", "g78", "g7"),
    "busy": ("white", "black", "g93", "g7"),
    "warn": ("white,bold", "black", "g100,bold", "g7"),
    "bad": ("white,bold,underline", "black", "g100,bold,underline", "g27"),
    "dialog": ("white", "dark gray", "g100", "g27"),
    "edit": ("white", "black", "g100", "g7"),
}
_WINDOWS31: Final[Mapping[str, tuple[str, str, str, str]]] = {
    "body": ("black", "light gray", "#000", "#ccc"),
    "dim": ("dark gray", "light gray", "#555", "#ccc"),
    "title": ("dark blue,bold", "light gray", "#006,bold", "#ccc"),
    "header": ("white", "dark blue", "#fff", "#008"),
    "tab": ("white,bold", "dark cyan", "#fff,bold", "#066"),
    "footer": ("black", "white", "#000", "#fff"),
    "key": ("dark blue,bold", "white", "#008,bold", "#fff"),
    "focus": ("white", "dark cyan", "#fff", "#066"),
    "match": ("black", "brown", "#000", "#fc6"),
    "ok": ("dark green", "light gray", "#060", "#ccc"),
    "busy": ("dark blue", "light gray", "#008", "#ccc"),
    "warn": ("dark magenta", "light gray", "#808", "#ccc"),
    "bad": ("dark red,bold", "light gray", "#a00,bold", "#ccc"),
    "dialog": ("black", "white", "#000", "#fff"),
    "edit": ("black", "white", "#000", "#fff"),
}
_MSDOS: Final[Mapping[str, tuple[str, str, str, str]]] = {
    "body": ("light gray", "dark blue", "#aaa", "#00a"),
    "dim": ("dark cyan", "dark blue", "#0aa", "#00a"),
    "title": ("white,bold", "dark blue", "#fff,bold", "#00a"),
    "header": ("black", "dark cyan", "#000", "#0aa"),
    "tab": ("white,bold", "black", "#fff,bold", "#000"),
    "footer": ("black", "light gray", "#000", "#aaa"),
    "key": ("dark red,bold", "light gray", "#800,bold", "#aaa"),
    "focus": ("dark blue", "light gray", "#00a", "#aaa"),
    "match": ("black", "brown", "#000", "#fa0"),
    "ok": ("light green", "dark blue", "#6f6", "#00a"),
    "busy": ("light cyan", "dark blue", "#6ff", "#00a"),
    "warn": ("yellow", "dark blue", "#ff6", "#00a"),
    "bad": ("white,bold", "dark red", "#fff,bold", "#a00"),
    "dialog": ("black", "light gray", "#000", "#aaa"),
    "edit": ("white", "dark blue", "#fff", "#00a"),
}
_THEMES: Final = {
    "default": _DEFAULT,
    "midnight": _MIDNIGHT,
    "grayscale": _GRAYSCALE,
    "windows31": _WINDOWS31,
    "msdos": _MSDOS,
}
THEMES: Final = tuple(_THEMES)


def palette(theme: str) -> list[PaletteLine]:
    """The theme as urwid's palette. Raises KeyError for an unknown name."""
    return [
        (style, front, back, MONO[style], high_front, high_back)
        for style, (front, back, high_front, high_back) in _THEMES[theme].items()
    ]
