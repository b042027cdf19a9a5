"""``python -m mattertune_nb``: the command line, if its script is not on the path."""

from mattertune_nb.cli import main

main()
