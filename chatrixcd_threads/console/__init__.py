"""The console: urwid lives only here, in the ui thread."""
