"""A whole world on this machine: a real Synapse, a Semaphore stand-in that runs real processes, the bot, and a person."""
