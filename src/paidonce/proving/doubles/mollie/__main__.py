"""Serves the double on loopback: ``python -m paidonce.proving.doubles.mollie --port 4243``."""

from paidonce.proving.doubles.command import double_command
from paidonce.proving.doubles.mollie.server import API_KEY, create_double

main = double_command("Mollie", create_double, f"the API key {API_KEY}")

if __name__ == "__main__":
    main()
