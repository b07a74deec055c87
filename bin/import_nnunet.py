#!/usr/bin/env python3
"""vesuv import_nnunet: see --help."""

import sys

from vesuv.cli import main

if __name__ == "__main__":
    main(["import_nnunet", *sys.argv[1:]])
