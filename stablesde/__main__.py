"""`python -m stablesde`: the command."""

from stablesde.cli import main

main(prog_name="stablesde")
