"""Serves the double on loopback: ``python -m paidonce.proving.doubles.paypal --port 4243``."""

from paidonce.proving.doubles.command import double_command
from paidonce.proving.doubles.paypal.server import CLIENT_ID, CLIENT_SECRET, create_double

main = double_command("PayPal", create_double, f"the client id {CLIENT_ID} and the secret {CLIENT_SECRET}")

if __name__ == "__main__":
    main()
