"""A double of PayPal: orders with a page where a buyer approves, authorizations, captures, refunds, access tokens, and
webhooks that are signed with a certificate of its own.

It is strict where PayPal is: unknown, missing and invalid parameters are errors. It keeps its objects in memory, and
its books say who was charged how often.
"""
