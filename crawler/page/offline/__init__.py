"""What a copy of a page needs to be read without a network: where it refers to other files, and those bytes changed."""

__all__ = ["charsets", "css", "editing", "markup", "requisites", "text"]
