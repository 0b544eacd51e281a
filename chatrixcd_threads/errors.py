"""What may go wrong in a way that a person can be told: each error carries the sentence for the room."""


class UserError(Exception):
    """A failure that is answered with its own sentence: what was tried, what came back, what to do."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence


class UsageError(UserError):
    """The command was not understood: an unknown word, flag or value. Nothing was done."""


class SecretTyped(UserError):
    """A secret was typed where others can read it. Nothing was done, and the message is to be taken away."""


class NotAllowed(UserError):
    """The person may not do this, by the bot's own rules. Answered with a brush_off message and the reason."""


class NotFound(UserError):
    """The thing named in the command does not exist, or may not be seen."""


class ConfigError(UserError):
    """A settings file that cannot be used. The sentence names file, line, key and the nearest known key."""


class Fatal(Exception):
    """A service cannot work and starting it again does not help (wrong password, unusable settings)."""
