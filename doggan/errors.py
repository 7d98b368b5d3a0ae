"""The exceptions that the command line answers with a sentence instead of a traceback."""


class DogganError(Exception):
    """A mistake in what was handed in: one sentence that names the file or key and the remedy.

    The command line prints it without a traceback and exits with status 2.
    """


class Interrupted(Exception):
    """A signal stopped training; what was trained is saved. Its argument is the signal's name, such as "SIGINT"."""
