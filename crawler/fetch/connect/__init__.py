"""Where connections lead: names, addresses, dialing, and how long the reactor was not free to look.

Imports the error codes alone.
"""

__all__ = ["address", "dial", "proxy", "resolver", "stalls"]
