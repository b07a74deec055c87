#!/usr/bin/env python3
"""vesuv diagnose: see --help."""

import sys

from vesuv.cli import main

if __name__ == "__main__":
    main(["diagnose", *sys.argv[1:]])
