"""Errors with a message for people: input that is the user's to mend, and jobs that could not finish."""

__all__ = ["InputError", "JobError"]


class InputError(ValueError):
    """Wrong input: the message is one line that says what is wrong, where, and what would be right."""


class JobError(RuntimeError):
    """A job could not finish for no fault of its input, such as a cluster that was lost. Finished work is kept."""
