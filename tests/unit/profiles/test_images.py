"""Images are judged by their bytes."""

from base64 import b64decode

import pytest
from hypothesis import given, strategies as st

from paidonce.profiles.images import SIDE_MAX, Image, ImageRefused, judge_image
from tests.support.images import JPEG, PNG, WEBP, WEBP_EXTENDED, WEBP_LOSSLESS, png_like


@pytest.mark.parametrize(
    ("content", "media_type"),
    [
        (PNG, "image/png"),
        (JPEG, "image/jpeg"),
        (WEBP, "image/webp"),
        (WEBP_LOSSLESS, "image/webp"),
        (WEBP_EXTENDED, "image/webp"),
    ],
)
def test_an_image_is_known_by_its_bytes_with_its_dimensions(content: str, media_type: str) -> None:
    assert judge_image(b64decode(content)) == Image(media_type, 20, 10)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>',
        b'<?xml version="1.0"?><svg/>',
        b"<html>",
        b"GIF89a" + bytes(20),
        b"BM" + bytes(60),
        b"%PDF-1.7",
        b" " + b64decode(PNG),
    ],
)
def test_what_is_no_png_jpeg_or_webp_is_refused(content: bytes) -> None:
    with pytest.raises(ImageRefused, match="no PNG, JPEG or WebP"):
        judge_image(content)


@pytest.mark.parametrize("content", [PNG, JPEG, WEBP, WEBP_LOSSLESS, WEBP_EXTENDED])
@pytest.mark.parametrize("length", [12, 20, 25])
def test_an_image_that_is_cut_off_is_refused(content: str, length: int) -> None:
    with pytest.raises(ImageRefused, match="damaged"):
        judge_image(b64decode(content)[:length])


@pytest.mark.parametrize(("width", "height"), [(SIDE_MAX + 1, 1), (1, SIDE_MAX + 1), (2**31, 2**31), (0, 10)])
def test_an_image_with_too_many_pixels_or_none_is_refused(width: int, height: int) -> None:
    assert judge_image(b64decode(png_like(SIDE_MAX, SIDE_MAX))).width == SIDE_MAX
    with pytest.raises(ImageRefused, match="pixels"):
        judge_image(b64decode(png_like(width, height)))


@given(
    beginning=st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8", b"\xff\xd8\xff\xe0", b"RIFF\0\0\0\0WEBPVP8X"]),
    rest=st.binary(max_size=200),
)
def test_no_bytes_are_more_than_refused(beginning: bytes, rest: bytes) -> None:
    try:
        image = judge_image(beginning + rest)
    except ImageRefused:
        return
    assert 1 <= image.width <= SIDE_MAX
    assert 1 <= image.height <= SIDE_MAX
