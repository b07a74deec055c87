"""python -m vesuv: the command line, where the script `vesuv` is not on the path."""

from vesuv.cli import main

if __name__ == "__main__":
    main()
