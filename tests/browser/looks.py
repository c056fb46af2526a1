"""The ways in which a page is looked at: its size, its colours, its language, and whether scripts run."""

from typing import Any, Final, NamedTuple


class Look(NamedTuple):
    """One of them. ``language`` is what the browser asks for."""

    name: str
    width: int = 1280
    height: int = 800
    is_dark: bool = False
    has_scripts: bool = True
    language: str = "en"

    @property
    def options(self) -> dict[str, Any]:
        """The options of Playwright for a browser context that looks so."""
        return {
            "viewport": {"width": self.width, "height": self.height},
            "color_scheme": "dark" if self.is_dark else "light",
            "java_script_enabled": self.has_scripts,
            "locale": self.language,
            "reduced_motion": "reduce",
        }


DESKTOP: Final = Look("desktop")
PHONE: Final = Look("phone", width=360, height=740)
DARK_DESKTOP: Final = Look("dark desktop", is_dark=True)
DARK_PHONE: Final = PHONE._replace(name="dark phone", is_dark=True)
WITHOUT_SCRIPTS: Final = Look("desktop without scripts", has_scripts=False)
PHONE_WITHOUT_SCRIPTS: Final = PHONE._replace(name="phone without scripts", has_scripts=False)

FEW_LOOKS: Final = (DARK_DESKTOP, PHONE)
ALL_LOOKS: Final = (DESKTOP, DARK_DESKTOP, PHONE, DARK_PHONE)
