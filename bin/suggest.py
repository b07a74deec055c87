#!/usr/bin/env python3
"""vesuv suggest: see --help."""

import sys

from vesuv.cli import main

if __name__ == "__main__":
    main(["suggest", *sys.argv[1:]])
