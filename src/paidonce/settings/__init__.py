"""The settings of a process."""

from paidonce.settings.describing import ShownSetting, describe_settings
from paidonce.settings.loading import is_loopback, load_settings
from paidonce.settings.model import Settings, environment_name

__all__ = ["Settings", "ShownSetting", "describe_settings", "environment_name", "is_loopback", "load_settings"]
