"""``python -m paidonce`` is ``paidonce``."""

from paidonce.cli import main

main(prog_name="paidonce")
