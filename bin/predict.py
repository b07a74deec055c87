#!/usr/bin/env python3
"""vesuv predict: see --help."""

import sys

from vesuv.cli import main

if __name__ == "__main__":
    main(["predict", *sys.argv[1:]])
