"""`python -m codeword.cli`."""

from codeword.cli.main import main

__all__: list[str] = []

if __name__ == "__main__":
    main()
