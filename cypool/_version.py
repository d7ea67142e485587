"""The version, read by setuptools as well."""

__version__ = "0.1.0"
