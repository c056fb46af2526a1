"""A double of Mollie's API v2: payments with their pages, captures, releases, refunds, chargebacks and webhooks.

It behaves as the OpenAPI specification (github.com/mollie/openapi) and Mollie's guides say, and shares no code with the
connector. Captures and refunds are final at once, unless the buyer's page was told otherwise.
"""
