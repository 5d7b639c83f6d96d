"""`python -m cellwarden` is the command."""

from cellwarden.cli import main

if __name__ == "__main__":
    main()
