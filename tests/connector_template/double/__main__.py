"""Serves the double on loopback: ``python -m paidonce.proving.doubles.<name> --port 4242``."""

from paidonce.proving.doubles.command import double_command
from tests.connector_template.double.server import API_KEY, create_double

main = double_command("Example Pay", create_double, API_KEY)

if __name__ == "__main__":
    main()
