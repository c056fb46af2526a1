"""HTTP: what all calls share, from the ASGI application and its middleware to problems and the OpenAPI document."""
