#!/usr/bin/env python3
"""vesuv prepare: see --help."""

import sys

from vesuv.cli import main

if __name__ == "__main__":
    main(["prepare", *sys.argv[1:]])
