"""Calling what users have given for pages: their functions, and what is made of what these yield."""

__all__ = ["calls"]
