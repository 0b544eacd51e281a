"""Sentences from messages.json, as rich text."""

from __future__ import annotations

from chatrixcd_threads.settings import tones
from chatrixcd_threads.settings.messages import MessageManager
from chatrixcd_threads.text.markup import Text, from_markdown


def phrase(messages: MessageManager, category: str, *, tone: str = tones.PLAYFUL, **values: str) -> Text:
    """A random message of the category, empty when the tone is silent.

    The manager puts values in so that no character of theirs is markup.
    """
    return from_markdown(messages.get_random_message(category, tone=tone, **values))
