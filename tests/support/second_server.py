"""uvicorn as the second server of the tests. It loads the application with its factory, as users would."""

import socket

import uvicorn

ADDRESS = "127.0.0.1"


def main() -> None:
    """Serve on a free port until a signal ends it."""
    with socket.create_server((ADDRESS, 0)) as listening:
        # Whoever asks before it serves waits in the backlog.
        print(f"paidonce is at  http://localhost:{listening.getsockname()[1]}", flush=True)  # noqa: T201
        config = uvicorn.Config(
            "paidonce.asgi:create_app",
            factory=True,
            http="httptools",
            ws="none",
            log_level="critical",
            access_log=False,
            proxy_headers=False,
            server_header=False,
        )
        uvicorn.Server(config).run(sockets=[listening])


if __name__ == "__main__":
    main()
