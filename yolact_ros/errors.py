"""Errors that a user can cure; every message names the thing, what was expected and the cure."""

__all__ = [
    "CheckpointError",
    "ConfigError",
    "DataError",
    "DependencyError",
    "DepthError",
    "DownloadError",
    "FrameFault",
    "ImageError",
    "RuntimeUnavailableError",
    "StorageError",
    "WorkerError",
    "YolactError",
    "damaged_network",
    "first_line",
]


class YolactError(Exception):
    """Base of every error this package raises on purpose."""


class ConfigError(YolactError):
    """A configuration or parameter value that cannot be used."""


class CheckpointError(YolactError):
    """A weights file that is missing, unreadable, unsafe or of another network."""


class ImageError(YolactError):
    """An input image with an unknown encoding or inconsistent size, step or data."""


class FrameFault(ImageError):
    """An image message that cannot be used, with the short cause it is counted under.

    Attributes:
        cause: one of "malformed", "size", "encoding", "truncated", "decode".
    """

    def __init__(self, cause: str, message: str) -> None:
        super().__init__(message)
        self.cause = cause


class DataError(YolactError):
    """A data set, results file or bag that cannot be read as what it claims to be."""


class StorageError(DataError):
    """A storage that does not answer, does not allow it, or does not have what was named."""


class DependencyError(YolactError):
    """An optional package that the requested feature needs is not installed."""


class DepthError(YolactError):
    """A depth image or a camera's calibration that objects cannot be placed with."""


class DownloadError(YolactError):
    """A file that could not be fetched, or that is not what its address promised."""


class RuntimeUnavailableError(YolactError):
    """A runtime, device or precision that this machine cannot provide."""


class WorkerError(YolactError):
    """A process that did a part of the work died or failed."""


def damaged_network(what: str) -> YolactError:
    """The error for NaN in the output of a network; ``what`` names the part that has it."""
    return YolactError(f"the network produced NaN {what}: its weights are damaged")


def first_line(error: BaseException) -> str:
    """What another library's error says, in one line; its kind where it says nothing."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
