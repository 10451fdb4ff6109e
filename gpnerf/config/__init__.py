"""Flags, presets and their checks."""

from gpnerf.config.config import Config, differences
from gpnerf.config.parser import parse

__all__ = ["Config", "differences", "parse"]
