#!/usr/bin/env python3
"""vesuv find_best: see --help."""

import sys

from vesuv.cli import main

if __name__ == "__main__":
    main(["find_best", *sys.argv[1:]])
