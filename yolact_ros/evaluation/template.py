"""Pages from the templates beside this module: one file each, without scripts and addresses."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from yolact_ros.dependencies import require
from yolact_ros.evaluation.text import number, percent

__all__ = ["render", "require_page_packages"]


def require_page_packages() -> None:
    """Find out before hours of work that their page can be written.

    Raises:
        DependencyError: jinja2 or matplotlib is not installed.
    """
    for package in ("jinja2", "matplotlib"):
        require(package, extra="bag")


def render(template: str, **values: Any) -> str:
    """A page; every value is escaped, and a name that the template does not get is an error.

    Raises:
        DependencyError: jinja2 is not installed.
    """
    return str(_environment().get_template(template).render(values))


@cache
def _environment() -> Any:
    jinja2 = require("jinja2", extra="bag")
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": number, "percent": percent}
    return environment
