"""Judges an uploaded image by its bytes: its format, and its dimensions. It is never decoded."""

import struct
from collections.abc import Callable
from typing import Final, NamedTuple

SIDE_MAX: Final = 1024  # Pixels. A browser needs 4 MB for a picture of this size.

_PNG: Final = b"\x89PNG\r\n\x1a\n"
# Start-of-frame markers of JPEG: C0 to CF, but for the tables C4, C8 and CC.
_JPEG_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_SCAN: Final = 0xDA


class ImageRefused(Exception):
    """The image is not taken; the message says why."""


class Image(NamedTuple):
    """An image that was judged: its media type, and its width and height in pixels."""

    media_type: str
    width: int
    height: int


def judge_image(content: bytes) -> Image:
    """Tell what an image is; raises ImageRefused for what is no PNG, JPEG or WebP, is cut off, or is too large.

    SVG is refused, because it can hold scripts and links.
    """
    for beginning, media_type, dimensions in _FORMATS:
        if content.startswith(beginning):
            try:
                width, height = dimensions(content)
            except (struct.error, IndexError, ValueError):
                raise ImageRefused("The image is damaged.") from None
            if not (1 <= width <= SIDE_MAX and 1 <= height <= SIDE_MAX):
                raise ImageRefused(f"The image has {width} × {height} pixels; at most {SIDE_MAX} × {SIDE_MAX} fit.")
            return Image(media_type, width, height)
    raise ImageRefused("The image is no PNG, JPEG or WebP.")


def _of_png(content: bytes) -> tuple[int, int]:
    length, kind, width, height = struct.unpack_from(">I4sII", content, len(_PNG))
    if (length, kind) != (13, b"IHDR") or not content.endswith(b"IEND\xaeB`\x82"):
        raise ValueError
    return width, height


def _of_jpeg(content: bytes) -> tuple[int, int]:
    """Follow the segments to the frame, which has the dimensions."""
    at = 2
    while True:
        lead, marker, length = struct.unpack_from(">BBH", content, at)
        if lead != 0xFF or marker == _JPEG_SCAN or length < 2:  # noqa: PLR2004 - the length counts itself
            raise ValueError
        if marker in _JPEG_FRAMES:
            height, width = struct.unpack_from(">HH", content, at + 5)
            return width, height
        at += 2 + length


def _of_webp(content: bytes) -> tuple[int, int]:
    (size,) = struct.unpack_from("<I", content, 4)
    if content[8:12] != b"WEBP" or size + 8 > len(content):
        raise ValueError
    kind = content[12:16]
    if kind == b"VP8X":
        return 1 + int.from_bytes(content[24:27], "little"), 1 + int.from_bytes(content[27:30], "little")
    if kind == b"VP8L" and content[20] == 0x2F:  # noqa: PLR2004 - the signature of the format
        (bits,) = struct.unpack_from("<I", content, 21)
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 " and content[23:26] == b"\x9d\x01\x2a":
        width, height = struct.unpack_from("<HH", content, 26)
        return width & 0x3FFF, height & 0x3FFF
    raise ValueError


_FORMATS: Final[tuple[tuple[bytes, str, Callable[[bytes], tuple[int, int]]], ...]] = (
    (_PNG, "image/png", _of_png),
    (b"\xff\xd8", "image/jpeg", _of_jpeg),
    (b"RIFF", "image/webp", _of_webp),
)
