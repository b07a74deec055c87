#!/usr/bin/env python3
"""vesuv digitize: see --help."""

import sys

from vesuv.cli import main

if __name__ == "__main__":
    main(["digitize", *sys.argv[1:]])
