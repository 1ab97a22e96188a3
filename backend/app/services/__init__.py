"""Use cases. Each is one transaction; the outside world comes in through ports."""
