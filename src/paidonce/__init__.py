"""paidonce: a self-hosted checkout and payment service. One purchase, one charge."""

__version__ = "0.1.0"
