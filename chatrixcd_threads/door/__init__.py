"""The console's door: a Unix socket through which consoles in other processes use the same `Doors` as the bot's own."""
