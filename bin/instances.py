#!/usr/bin/env python3
"""vesuv instances: see --help."""

import sys

from vesuv.cli import main

if __name__ == "__main__":
    main(["instances", *sys.argv[1:]])
