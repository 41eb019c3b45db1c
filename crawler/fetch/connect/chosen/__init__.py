"""What the user chose in place of the system: name servers, the addresses of names, our own address.

Imports the error codes alone.
"""

__all__ = ["name_servers", "pins", "source"]
