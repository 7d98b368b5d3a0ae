"""`python -m doggan` is the `doggan` command."""

from doggan.cli import main

if __name__ == "__main__":
    main()
