#!/usr/bin/env python3
"""vesuv study: see --help."""

import sys

from vesuv.cli import main

if __name__ == "__main__":
    main(["study", *sys.argv[1:]])
