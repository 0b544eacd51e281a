"""Texts for people: rich text with a plain twin, ANSI, redaction, sizes and times."""
