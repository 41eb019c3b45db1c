"""Where connections lead: names, addresses, dialing, and how long the reactor was busy, how fast bytes may come.

Imports the error codes alone.
"""

__all__ = ["address", "dial", "proxy", "resolver", "stalls", "throttle"]
