"""Serves the double on loopback: ``python -m paidonce.proving.doubles.adyen --port 4244``."""

from paidonce.proving.doubles.adyen.server import API_KEY, MERCHANT_ACCOUNT, create_double
from paidonce.proving.doubles.command import double_command

main = double_command("Adyen", create_double, f"the API key {API_KEY} and the merchant account {MERCHANT_ACCOUNT}")

if __name__ == "__main__":
    main()
