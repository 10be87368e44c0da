"""Installing locked Python packages with pip."""

from __future__ import annotations

import json
import shutil
import subprocess
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from devtool.problem import SetupProblem
from devtool.progress import StepLine, run_logged

__all__ = ["TORCH_CPU_INDEX", "Pip", "answers"]

TORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu"
_PROBE_TIMEOUT_S = 5.0
_OFFLINE_SIGNS = (
    "Failed to establish a new connection",
    "Temporary failure in name resolution",
    "Name or service not known",
    "Network is unreachable",
    "Connection refused",
    "Connection reset by peer",
    "ConnectTimeoutError",
    "ReadTimeoutError",
    "Read timed out",
    "ProxyError",
    "NewConnectionError",
    "NameResolutionError",
    # Without retries pip does not say why it found nothing.
    "(from versions: none)",
)


def answers(url: str, timeout_s: float = _PROBE_TIMEOUT_S) -> bool:
    """True where `url` answers a HEAD request without an error inside `timeout_s`."""
    request = urllib.request.Request(url, method="HEAD")
    try:
        with urllib.request.urlopen(request, timeout=timeout_s):
            return True
    except (OSError, urllib.error.URLError, ValueError):
        return False


@dataclass(frozen=True)
class Pip:
    """pip of one environment; its output goes to `log`, `env` is its whole environment.

    `constraints`: files of locked versions for packages that others ask for.
    """

    python: Path
    env: dict[str, str]
    log: Path
    constraints: tuple[Path, ...] = ()

    def _command(self, *arguments: str) -> list[str]:
        options = ("--disable-pip-version-check", "--no-input")
        return [str(self.python), "-m", "pip", *options, *arguments]

    def install(
        self,
        requirements: Path,
        *,
        line: StepLine | None = None,
        options: Sequence[str] = (),
        redo: bool = False,
    ) -> None:
        """Install every line of `requirements`, and what these need.

        `redo` repairs an installation that was cut short: it clears what pip cannot remove
        and installs every package again, from pip's cache where it can.
        Raises SetupProblem naming the log and the cure, OSError where the disk is full.
        """
        # A package that the index lacks is called a conflict where its own file constrains it.
        others = [path for path in self.constraints if path != requirements]
        extra = [part for path in others for part in ("-c", str(path))]
        extra += options
        if redo:
            self._remove_half_installed()
            extra.append("--force-reinstall")
        command = self._command(
            "install", "--progress-bar", "off", "-r", str(requirements), *extra
        )
        status, output = run_logged(command, self.log, self.env, line)
        if status != 0:
            raise self._problem(requirements, output)

    def resolves_to(self, requirement: str) -> str:
        """Address of the file that pip would install for `requirement`, "" where none is."""
        command = self._command(
            "install", "--dry-run", "--no-deps", "--ignore-installed", "--quiet", "--report", "-"
        )
        found = subprocess.run(
            [*command, requirement], env=self.env, capture_output=True, text=True, check=False
        )
        try:
            return str(json.loads(found.stdout)["install"][0]["download_info"]["url"])
        except (ValueError, KeyError, IndexError):
            return ""

    def _remove_half_installed(self) -> None:
        """Remove what a killed pip leaves: records without a RECORD file, and `~` folders.

        pip refuses to replace a package whose record lacks the list of its files.
        """
        for site in (self.python.parent.parent / "lib").glob("python3*/site-packages"):
            leftovers = list(site.glob("~*"))
            leftovers += [
                record
                for record in site.glob("*.dist-info")
                if not (record / "RECORD").is_file() or not (record / "METADATA").is_file()
            ]
            for path in leftovers:
                shutil.rmtree(path, ignore_errors=True)

    def _problem(self, requirements: Path, output: str) -> SetupProblem:
        name = f"{requirements.parent.name}/{requirements.name}"
        if any(sign in output for sign in _OFFLINE_SIGNS):
            return SetupProblem(
                f"the packages of {name} could not be downloaded: the package index cannot be "
                f"reached or does not have them (pip's output: {self.log}).",
                "check the network (behind a proxy set HTTPS_PROXY, for a mirror PIP_INDEX_URL), "
                "then run the same command again: it goes on where it stopped.",
            )
        errors = [text for text in output.splitlines() if text.startswith("ERROR:")]
        last = f": {errors[-1][len('ERROR:') :].strip()}" if errors else ""
        return SetupProblem(
            f"pip could not install {name}{last} (its output: {self.log}).",
            "read the last lines of that file; `./dev clean` and the same command start afresh.",
        )
