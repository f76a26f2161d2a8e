"""What can go wrong when a toy cluster is brought up."""


class SlurmLabError(Exception):
    """The toy cluster can't do what was asked; the message says why and what to do next, in plain words."""
