#!/usr/bin/env python3
"""vesuv view: see --help."""

import sys

from vesuv.cli import main

if __name__ == "__main__":
    main(["view", *sys.argv[1:]])
