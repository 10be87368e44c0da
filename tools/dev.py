"""Entry point of `./dev`, run by the Python that `./dev` found."""

from __future__ import annotations

import sys

from devtool.main import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
