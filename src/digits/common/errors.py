"""The exceptions that are written for the person at the keyboard."""


class UserError(Exception):
    """A fault that the user can mend: what is wrong, where, and the next command, in one line (or one line each)."""


class DivergedError(UserError):
    """The loss of a fit is no number any more."""
