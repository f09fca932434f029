"""The version, in its own module so that a build can read it without importing the package."""

__version__ = "0.2.0"
