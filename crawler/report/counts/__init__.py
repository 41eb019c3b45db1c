"""What a report counts of the records, each in bounded memory."""

__all__ = ["aggregate", "bounded", "counting", "hosts", "site", "timeline"]
