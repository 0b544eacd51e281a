"""The journal: what the bot has accepted, asked, started and still owes, in SQLite, durable before it is acknowledged."""
