"""The one kind of error that is the user's to mend."""

__all__ = ["InputError"]


class InputError(ValueError):
    """Wrong input: the message is one line that says what is wrong, where, and what would be right."""
