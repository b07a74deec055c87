#!/usr/bin/env python3
"""vesuv validate_distribution: see --help."""

import sys

from vesuv.cli import main

if __name__ == "__main__":
    main(["validate_distribution", *sys.argv[1:]])
