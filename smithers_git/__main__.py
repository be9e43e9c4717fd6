"""`python -m smithers_git`."""

from smithers_git.cli import main

main()
