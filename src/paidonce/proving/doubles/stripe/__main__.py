"""Serves the double on loopback: ``python -m paidonce.proving.doubles.stripe --port 4242``."""

from paidonce.proving.doubles.command import double_command
from paidonce.proving.doubles.stripe.server import SECRET_KEY, create_double

main = double_command("Stripe", create_double, f"the secret key {SECRET_KEY}")

if __name__ == "__main__":
    main()
