#!/usr/bin/env python3
"""vesuv export: see --help."""

import sys

from vesuv.cli import main

if __name__ == "__main__":
    main(["export", *sys.argv[1:]])
