"""Exceptions whose text is written for the user."""


class UserError(Exception):
    """An error that the user can correct. Its text has one line per fault: where, the cause, the next command."""


class DivergedError(UserError):
    """The loss of a fit has become nan or infinite."""
