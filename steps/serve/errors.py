"""The one error of the server: a status code by its canonical name, and a message."""

from __future__ import annotations

# TensorFlow Serving cuts the messages of gRPC statuses at this length, because they travel in a header.
_LONGEST = 1024


class ServingError(Exception):
    """What a caller is told: a canonical status code (`NOT_FOUND`, `INVALID_ARGUMENT`, ...) and a message."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    @property
    def details(self) -> str:
        """The message as it fits into a gRPC status."""
        return self.message if len(self.message) <= _LONGEST else f"{self.message[:_LONGEST]}...TRUNCATED"
