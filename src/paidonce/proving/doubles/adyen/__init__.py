"""A double of Adyen: payment links, payments with stored payment methods, modifications, and webhooks."""
