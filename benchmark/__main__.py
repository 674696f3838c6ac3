"""`python -m benchmark` is the command `densebench`."""

from benchmark.cli import main

if __name__ == "__main__":
    main()
