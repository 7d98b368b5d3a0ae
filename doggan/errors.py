"""The one exception that means "the user can mend this"."""


class DogganError(Exception):
    """A mistake in what was handed in: one sentence that names the file or key and the remedy.

    The command line prints it without a traceback and exits with status 2.
    """
