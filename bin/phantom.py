#!/usr/bin/env python3
"""vesuv phantom: see --help."""

import sys

from vesuv.cli import main

if __name__ == "__main__":
    main(["phantom", *sys.argv[1:]])
