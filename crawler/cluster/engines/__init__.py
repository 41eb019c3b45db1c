"""Who starts the processes that do tasks: each a class with one method, `map(tasks)`. See splitting.Map."""

__all__ = ["table"]
