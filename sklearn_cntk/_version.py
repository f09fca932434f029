"""The version, alone, so that a build reads it without an import."""

__version__ = "0.1.0"
