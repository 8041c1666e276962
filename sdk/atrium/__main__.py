"""`python -m atrium`."""

import sys

from atrium.cli import main

if __name__ == "__main__":
    sys.exit(main())
