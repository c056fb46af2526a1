"""What every request passes on its way in and out: plain ASGI middleware, one concern in each file."""
