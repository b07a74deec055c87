#!/usr/bin/env python3
"""vesuv train: see --help."""

import sys

from vesuv.cli import main

if __name__ == "__main__":
    main(["train", *sys.argv[1:]])
