#!/usr/bin/env python3
"""vesuv probe: see --help."""

import sys

from vesuv.cli import main

if __name__ == "__main__":
    main(["probe", *sys.argv[1:]])
