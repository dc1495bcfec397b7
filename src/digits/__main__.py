"""`python -m digits COMMAND` is the same as the `digits` command."""

import sys

from digits.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
