#!/usr/bin/env python3
"""vesuv curves: see --help."""

import sys

from vesuv.cli import main

if __name__ == "__main__":
    main(["curves", *sys.argv[1:]])
