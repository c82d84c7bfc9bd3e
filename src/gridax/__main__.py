"""`python -m gridax` is the command `gridax`, where that is not on the path."""

from gridax.cli import main

if __name__ == "__main__":
    main()
