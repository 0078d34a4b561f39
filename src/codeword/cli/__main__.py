"""`python -m codeword.cli`."""

from codeword.cli.main import main

if __name__ == "__main__":
    main()
