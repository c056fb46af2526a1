"""Contrast of colors, as the Web Content Accessibility Guidelines define it (WCAG 2.2, "contrast ratio")."""

from typing import Final

BLACK: Final = "#000000"
WHITE: Final = "#ffffff"


def contrast(one: str, other: str) -> float:
    """Return the contrast ratio of two colors such as ``#1a2b3c``: from 1, where they are equal, to 21."""
    darker, lighter = sorted((_luminance(one), _luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def text_color_on(background: str) -> str:
    """Return black or white, whichever can be read better. It is never below 4.5, which WCAG asks for (level AA)."""
    return max(WHITE, BLACK, key=lambda text: contrast(text, background))


def _luminance(color: str) -> float:
    red, green, blue = (_linear(int(color[start : start + 2], 16) / 255) for start in (1, 3, 5))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _linear(channel: float) -> float:
    return channel / 12.92 if channel <= 0.04045 else ((channel + 0.055) / 1.055) ** 2.4  # noqa: PLR2004 - of sRGB
