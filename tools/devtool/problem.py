"""The one error that stops a set-up."""

from __future__ import annotations

__all__ = ["SetupProblem"]


class SetupProblem(Exception):
    """What is wrong, and what the user can do about it.

    Attributes: `what` names the thing and what was expected, `cure` is the next action.
    """

    def __init__(self, what: str, cure: str) -> None:
        super().__init__(f"{what}\nCure: {cure}")
        self.what = what
        self.cure = cure
