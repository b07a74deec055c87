#!/usr/bin/env python3
"""vesuv config: see --help."""

import sys

from vesuv.cli import main

if __name__ == "__main__":
    main(["config", *sys.argv[1:]])
