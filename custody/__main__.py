"""`python -m custody` is the `custody` command."""

from custody.cli.main import main

if __name__ == "__main__":
    main()
