"""Everything Matrix: asyncio and nio live only here, on the sync thread's private loop."""
