#!/usr/bin/env python3
"""vesuv import-nnunet: see --help."""

import sys

from vesuv.cli import main

if __name__ == "__main__":
    main(["import-nnunet", *sys.argv[1:]])
