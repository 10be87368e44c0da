"""Where a checkout keeps its environment."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

__all__ = ["Layout"]

PACKAGE = "yolact_ros"


@dataclass(frozen=True)
class Layout:
    """Paths of one checkout; `flavour` is that of its ROS: "wheels", or another name.

    Each flavour has its own environment, so that terminals with and without a sourced ROS
    can take turns in one checkout.
    """

    root: Path
    flavour: str

    @property
    def venv(self) -> Path:
        """The virtual environment."""
        return self.root / (".venv" if self.flavour == "wheels" else f".venv-{self.flavour}")

    @property
    def python(self) -> Path:
        """The environment's interpreter."""
        return self.venv / "bin" / "python"

    @property
    def stamps(self) -> Path:
        """Which steps are done; inside the environment, so that both vanish together."""
        return self.venv / ".dev"

    @property
    def state(self) -> Path:
        """Everything else that set-up writes."""
        return self.root / ".dev"

    @property
    def lock(self) -> Path:
        """Held while a set-up changes anything."""
        return self.state / "lock"

    @property
    def logs(self) -> Path:
        """One file for each step: the output of pip or colcon."""
        return self.state / "logs"

    @property
    def colcon(self) -> Path:
        """colcon's build, install and log folders."""
        return self.state / self.flavour

    @property
    def install(self) -> Path:
        """Install prefix of our package."""
        return self.colcon / "install" / PACKAGE

    def installed_python(self) -> list[Path]:
        """The folders of the colcon install that hold Python packages (none before a build)."""
        found: list[Path] = []
        # Debian's Python installs below local/ and calls the folder dist-packages.
        for pattern in ("lib/python3*/*-packages", "local/lib/python3*/*-packages"):
            found += sorted(self.install.glob(pattern))
        return found
