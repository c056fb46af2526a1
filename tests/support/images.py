"""Small images of 20 × 10 pixels in each format, in base64."""

import struct
from base64 import b64encode
from typing import Final

PNG: Final = (
    "iVBORw0KGgoAAAANSUhEUgAAABQAAAAKCAIAAAA7N+mxAAAAF0lEQVR42mPkijFjIBcwMVAARjWPDM0AjJkAsCwzFCYAAAAASUVORK5CYII="
)
JPEG: Final = (
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDABsSFBcUERsXFhceHBsgKEIrKCUlKFE6PTBCYFVlZF9VXVtqeJmBanGQc1tdhbWGkJ6jq62rZ4C8ybqm"
    "x5moq6T/2wBDARweHigjKE4rK06kbl1upKSkpKSkpKSkpKSkpKSkpKSkpKSkpKSkpKSkpKSkpKSkpKSkpKSkpKSkpKSkpKSkpKT/wAARCAAKABQD"
    "ASIAAhEBAxEB/8QAFQABAQAAAAAAAAAAAAAAAAAAAAX/xAAUEAEAAAAAAAAAAAAAAAAAAAAA/8QAFgEBAQEAAAAAAAAAAAAAAAAAAAEE/8QA"
    "FBEBAAAAAAAAAAAAAAAAAAAAAP/aAAwDAQACEQMRAD8AmAIyAAP/2Q=="
)
WEBP: Final = "UklGRjgAAABXRUJQVlA4ICwAAACwAgCdASoUAAoAP3Ggxli0q6ejsAgCkC4JQAAQgYAA/uUKZf+kulx+sgAAAA=="
WEBP_LOSSLESS: Final = "UklGRh4AAABXRUJQVlA4TBEAAAAvE0ACAAdQrirUpv+BiOh/AAA="
WEBP_EXTENDED: Final = (
    "UklGRlwAAABXRUJQVlA4WAoAAAAQAAAAEwAACQAAQUxQSAoAAAABB1DAiAhERP8DVlA4ICwAAACwAgCdASoUAAoAP3Ggxli0q6ejsAgCkC4JQAAQ"
    "gYAA/uUKZf+kulx+sgAAAA=="
)


def png_like(width: int, height: int, *, length: int = 60) -> str:
    """Make what a PNG of these dimensions begins and ends with, of so many bytes."""
    begin = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", width, height)
    end = b"IEND\xaeB`\x82"
    return b64encode(begin + bytes(length - len(begin) - len(end)) + end).decode()
