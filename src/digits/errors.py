"""The one exception that is written for the person at the keyboard."""


class UserError(Exception):
    """A fault that the user can mend: what is wrong, where, and the next command, in one line (or one line each)."""
