#!/usr/bin/env python3
"""vesuv evaluate: see --help."""

import sys

from vesuv.cli import main

if __name__ == "__main__":
    main(["evaluate", *sys.argv[1:]])
