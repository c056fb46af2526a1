"""Errors of the command line."""


class CannotListen(Exception):
    """The address is in use, or does not belong to this machine."""
