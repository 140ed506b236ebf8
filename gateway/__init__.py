"""The consent gateway: hears privacy choices, keeps them, and answers from them."""

__version__ = "0.1.0"
