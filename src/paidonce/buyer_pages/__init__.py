"""The pages on which buyers pay: one for each checkout, at ``/pay/{token}``."""
