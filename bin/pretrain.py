#!/usr/bin/env python3
"""vesuv pretrain: see --help."""

import sys

from vesuv.cli import main

if __name__ == "__main__":
    main(["pretrain", *sys.argv[1:]])
