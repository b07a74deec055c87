#!/usr/bin/env python3
"""vesuv init: see --help."""

import sys

from vesuv.cli import main

if __name__ == "__main__":
    main(["init", *sys.argv[1:]])
