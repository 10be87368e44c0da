"""What colcon, pip and rosdep read says the same thing."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
import tomllib
from devtool.ros import WHEELS

import yolact_ros

ROOT = Path(__file__).parents[2]


def manifest() -> ElementTree.Element:
    return ElementTree.parse(ROOT / "package.xml").getroot()


def project() -> dict[str, object]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_the_version_is_the_same_for_colcon_and_pip() -> None:
    assert manifest().findtext("version") == yolact_ros.__version__
    assert project()["dynamic"] == ["version"]


def test_catkin_pkg_reads_the_manifest_and_a_release_would_find_its_changelog(capfd) -> None:
    """As catkin_prepare_release does: the label of the coming version becomes its number."""
    catkin_package = pytest.importorskip("catkin_pkg.package", reason="catkin_pkg is not here")
    from catkin_pkg.changelog import Changelog, populate_changelog_from_rst
    from catkin_pkg.package_version import get_forthcoming_label, rename_section

    warnings: list[str] = []
    package = catkin_package.parse_package(str(ROOT / "package.xml"), warnings=warnings)
    package.validate(warnings=warnings)
    assert warnings == []
    text = (ROOT / "CHANGELOG.rst").read_text()
    label = get_forthcoming_label(text)
    released = text if label is None else rename_section(text, label, "99.0.0 (2099-01-01)")
    changelog = populate_changelog_from_rst(Changelog("yolact_ros"), released)
    sections = {version: content for version, _, content in changelog.foreach_version()}
    assert package.version in sections
    entries = sum(len(found.bullets) for content in sections.values() for found in content)
    assert entries == len(re.findall(r"^\* ", text, re.MULTILINE))
    assert capfd.readouterr().err == ""  # where docutils complains


def test_files_that_users_compile_start_or_copy_have_the_licences_text() -> None:
    """ament_copyright checks the whole of it in `colcon test`."""
    folders = (ROOT / name for name in ("examples", "include", "launch"))
    files = [
        path
        for folder in folders
        for path in folder.rglob("*")
        if path.suffix in (".cpp", ".hpp", ".py")
    ]
    assert len(files) >= 10
    for path in files:
        first, _, third, *_ = path.read_text().splitlines()
        assert re.match(r"(#|//) Copyright \d{4} ", first), path
        assert "Apache License, Version 2.0" in third, path


@pytest.mark.parametrize("kind", ["msg", "srv"])
def test_every_interface_is_generated(kind: str) -> None:
    cmake = (ROOT / "CMakeLists.txt").read_text()
    generated = re.findall(rf'"({kind}/\w+\.{kind})"', cmake)
    assert sorted(generated) == sorted(
        f"{kind}/{path.name}" for path in (ROOT / kind).glob(f"*.{kind}")
    )
    assert generated


def imported_packages(folder: Path) -> set[str]:
    """Top-level packages that the modules of `folder` import, wherever they do."""
    found: set[str] = set()
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module.split(".")[0])
    return found


def test_package_xml_names_every_ros_package_that_the_node_imports() -> None:
    declared = {
        element.text
        for tag in ("depend", "exec_depend", "buildtool_depend")
        for element in manifest().iter(tag)
    }
    ours = {"builtin_interfaces", "yolact_ros"}
    used = {
        name
        for name in imported_packages(ROOT / "yolact_ros")
        if name.endswith(("_msgs", "_srvs", "_interfaces")) or name in ("rclpy", "launch_ros")
    }
    assert used - ours <= declared


def locked_versions() -> dict[str, str]:
    found: dict[str, str] = {}
    # An environment has the wheels of one ROS; another's lock repeats what it needs.
    others = {ROOT / "requirements" / f"ros-{distro}.txt" for distro in WHEELS[1:]}
    for path in sorted({*(ROOT / "requirements").glob("*.txt")} - others):
        for line in path.read_text().splitlines():
            if line and not line.startswith("#"):
                name, version = line.split("==")
                key = re.sub(r"[-_.]+", "-", name).lower()
                assert key not in found, f"{name} is locked twice"
                found[key] = version
    return found


def test_every_dependency_that_pip_is_told_of_is_locked_for_the_checkout() -> None:
    wanted = [*project()["dependencies"]]
    for extra in project()["optional-dependencies"].values():
        wanted += extra
    names = {re.split(r"[\[<>=!~ ]", entry)[0].lower() for entry in wanted}
    # nncf brings scikit-learn and scipy for one optional conversion, supervision an OpenCV with
    # windows in the place of ours.
    assert names - {"nncf", "supervision"} <= set(locked_versions())


def test_every_file_beside_the_modules_is_installed_by_pip_as_well() -> None:
    """CMake installs the folder as it is; setuptools what it is told of."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    told = {
        path
        for package, patterns in settings["package-data"].items()
        for pattern in patterns
        for path in (ROOT / package.replace(".", "/")).glob(pattern)
    }
    there = {path for path in (ROOT / "yolact_ros").rglob("*") if path.is_file()}
    assert told == {path for path in there if path.suffix not in (".py", ".pyc")}
    assert told


def test_the_shared_memory_profile_holds_two_full_hd_images() -> None:
    space = {"dds": "http://www.eprosima.com"}
    tree = ElementTree.parse(ROOT / "config" / "fastdds.xml")
    sizes = [int(element.text) for element in tree.iterfind(".//dds:segment_size", space)]
    assert sizes == [16_777_216]
    assert sizes[0] > 2 * 1920 * 1080 * 3
    used = {e.text for e in tree.iterfind(".//dds:userTransports/dds:transport_id", space)}
    made = {e.text for e in tree.iterfind(".//dds:transport_descriptor/dds:transport_id", space)}
    assert used == made
    assert tree.findtext(".//dds:useBuiltinTransports", namespaces=space) == "false"
