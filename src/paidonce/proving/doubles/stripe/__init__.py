"""A double of Stripe: Checkout Sessions with a page, PaymentIntents, refunds, idempotency keys, and signed webhooks.

It is strict where Stripe is: unknown, missing and invalid parameters are errors. It keeps its objects in memory, and
its books say who was charged how often.
"""
