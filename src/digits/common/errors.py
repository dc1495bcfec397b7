"""Exceptions whose text is written for the user."""


class UserError(Exception):
    """An error that the user can correct. Its text has one line per fault: place, cause, next step."""


class MisfitError(UserError):
    """The competition's files are not as the params say."""


class DivergedError(UserError):
    """The loss of a fit has become nan or infinite."""


class DiskError(UserError):
    """A file cannot be written: the disk is full, a quota is used up, or the file system is away."""
