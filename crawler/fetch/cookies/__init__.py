"""Cookies: what a Set-Cookie says, which are kept, which go with a request, and the file that they are kept in.

RFC 6265bis, with curl's limits. Imports the models and what belongs to a URL.
"""

__all__ = ["jar", "keeping", "netscape"]
