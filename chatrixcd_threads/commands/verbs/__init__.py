"""One file per command. Adding a file here adds the command."""
