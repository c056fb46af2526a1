"""The settings of a process."""

from paidonce.settings.loading import is_loopback, load_settings
from paidonce.settings.model import Settings, environment_name

__all__ = ["Settings", "environment_name", "is_loopback", "load_settings"]
