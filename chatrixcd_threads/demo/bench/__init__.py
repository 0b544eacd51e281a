"""The bench: figures of the bot on a real Synapse, each beside a baseline that was measured in the same run."""
