"""What keeps a command from doing its work."""


class CannotListen(Exception):
    """The address is taken, or is none of this machine's."""
