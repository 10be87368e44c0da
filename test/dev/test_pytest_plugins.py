"""pytest starts beside plugins that were made for another pytest, as a sourced ROS has them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
# As Jazzy's launch_testing, whose hooks this pytest does not know.
PLUGIN = "def pytest_launch_collect_makemodule(path, parent, entrypoint): pass\n"


def test_a_foreign_plugin_does_not_keep_the_tests_from_starting(tmp_path: Path) -> None:
    (tmp_path / "foreign_plugin.py").write_text(PLUGIN)
    metadata = tmp_path / "foreign_plugin-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Name: foreign-plugin\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[pytest11]\nforeign = foreign_plugin\n")
    paths = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, "--collect-only", "--quiet", "test/dev/test_pytest_plugins.py"],
        cwd=REPOSITORY,
        env=os.environ | {"PYTHONPATH": paths},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "test_a_foreign_plugin" in done.stdout
