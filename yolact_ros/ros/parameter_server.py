"""The node's parameters on the ROS graph: declared, validated, and read as plain values."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from typing import Any

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rclpy.node import Node
from rclpy.parameter import Parameter

from yolact_ros.errors import ConfigError
from yolact_ros.ros.parameter_spec import ParameterSpec, check_value, in_words
from yolact_ros.ros.parameters import PARAMETERS, spec_of

__all__ = ["ParameterServer", "declare_parameter"]

_CHANGE_NOTES = {
    "live": "",
    "configure": "Can change while the node is unconfigured.",
    "start": "Read when the process starts.",
}


class ParameterServer:
    """Declares :data:`PARAMETERS` on a node and keeps only values that can be used.

    A value given at start that cannot be used is refused like one set later: the default stays. A
    name that no parameter has, which rclpy would pass over, is refused too.

    Args:
        is_configured: True while parameters fixed at configure cannot change.
        check: further validation of all values together; raises ConfigError.
        changed: called after values have changed.
        refused: called with the reason of every refused value.
    """

    def __init__(
        self,
        node: Node,
        *,
        is_configured: Callable[[], bool],
        check: Callable[[Mapping[str, Any]], None],
        changed: Callable[[], None],
        refused: Callable[[str], None],
    ) -> None:
        self._node = node
        self._is_configured = is_configured
        self._check = check
        self._changed = changed
        self._refused = refused
        for spec in PARAMETERS:
            declare_parameter(node, spec, refused)
        for reason in _unknown_names(node):
            refused(reason)
        node.add_pre_set_parameters_callback(self._normalize)
        node.add_on_set_parameters_callback(self._validate)
        node.add_post_set_parameters_callback(self._after_set)

    def values(self) -> dict[str, Any]:
        """Every parameter's current value; lists as tuples."""
        return {
            spec.name: check_value(spec, self._node.get_parameter(spec.name).value)
            for spec in PARAMETERS
        }

    def has_value(self, parameter: Parameter) -> bool:
        """Whether a parameter, also one of rclpy's own, has this value already."""
        if not self._node.has_parameter(parameter.name):
            return False
        spec = spec_of(parameter.name)
        current = self._node.get_parameter(parameter.name).value
        if spec is None:
            return bool(parameter.value == current) and type(parameter.value) is type(current)
        try:
            return check_value(spec, parameter.value) == check_value(spec, current)
        except ConfigError:
            return False

    def _normalize(self, parameters: list[Parameter]) -> list[Parameter]:
        normalized = []
        for parameter in parameters:
            spec = spec_of(parameter.name)
            if spec is not None:
                try:
                    parameter = _parameter(spec, check_value(spec, parameter.value))
                except ConfigError as error:
                    # rclpy itself or _validate refuses it: this callback cannot.
                    self._refused(str(error))
            normalized.append(parameter)
        return normalized

    def _validate(self, parameters: list[Parameter]) -> SetParametersResult:
        values = self.values()
        try:
            for parameter in parameters:
                spec = spec_of(parameter.name)
                if spec is not None:
                    values[spec.name] = check_value(spec, parameter.value)
        except ConfigError as error:
            return SetParametersResult(successful=False, reason=str(error))
        try:
            self._refuse_fixed(parameters)
            self._check(values)
        except ConfigError as error:
            self._refused(str(error))
            return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)

    def _refuse_fixed(self, parameters: list[Parameter]) -> None:
        for parameter in parameters:
            spec = spec_of(parameter.name)
            if spec is not None and spec.change == "configure" and self._is_configured():
                raise ConfigError(
                    f"{spec.name} is fixed while the node is configured; deactivate and clean up "
                    "the node, set it, then configure and activate it again"
                )

    def _after_set(self, parameters: list[Parameter]) -> None:
        if any(spec_of(parameter.name) for parameter in parameters):
            self._changed()


def declare_parameter(node: Node, spec: ParameterSpec, refused: Callable[[str], object]) -> None:
    """Declare a parameter with the value given at start, or with its default.

    Args:
        refused: called with the reason if the value given cannot be used.
    """
    # Declared without its range first: rclpy would end the process over a bad value from a
    # launch file, and takes neither 1 for 1.0 nor [] for a list of strings.
    default = _parameter(spec, spec.default)
    untyped = ParameterDescriptor(dynamic_typing=True)
    given = node.declare_parameter(spec.name, default.value, untyped).value
    parameter = default
    try:
        if given is not None:
            parameter = _parameter(spec, check_value(spec, given))
    except ConfigError as error:
        refused(f"{error}; the default {in_words(default.value)} stays")
    node.set_parameters([parameter])
    node.set_descriptor(spec.name, _descriptor(spec))


def _unknown_names(node: Node) -> list[str]:
    """Why the names given at start that no parameter has are refused."""
    # Private to rclpy. The public way, automatically_declare_parameters_from_overrides, raises
    # ValueError in Node() where one of them is [], which YAML gives no type.
    given = getattr(node, "_parameter_overrides", {})
    known = [spec.name for spec in PARAMETERS]
    reasons = []
    for name in sorted(given):
        # Those of quality of service are declared later, with the subscriptions.
        if node.has_parameter(name) or name.startswith("qos_overrides."):
            continue
        alike = difflib.get_close_matches(name, known, n=1)
        cure = f"did you mean {alike[0]}?" if alike else "ros2 param list names them all"
        reasons.append(f"{name} is none of this node's; {cure}")
    return reasons


def _parameter(spec: ParameterSpec, value: object) -> Parameter:
    if isinstance(value, tuple):
        value = list(value)
    return Parameter(spec.name, _type_of(spec), value)


def _type_of(spec: ParameterSpec) -> Parameter.Type:
    if isinstance(spec.default, tuple):
        return Parameter.Type.INTEGER_ARRAY if spec.default else Parameter.Type.STRING_ARRAY
    return Parameter.Type.from_parameter_value(spec.default)


def _descriptor(spec: ParameterSpec) -> ParameterDescriptor:
    descriptor = ParameterDescriptor(
        description=f"{spec.description} {_CHANGE_NOTES[spec.change]}".strip(),
        additional_constraints=spec.constraints,
        read_only=spec.change == "start",
        # rclpy refuses a value of another type before our validation can name the cure.
        dynamic_typing=True,
        type=_type_of(spec).value,
    )
    if spec.limits is not None and isinstance(spec.default, int):
        least, most = map(int, spec.limits)
        descriptor.integer_range = [IntegerRange(from_value=least, to_value=most, step=1)]
    elif spec.limits is not None and isinstance(spec.default, float):
        low, high = map(float, spec.limits)
        descriptor.floating_point_range = [FloatingPointRange(from_value=low, to_value=high)]
    return descriptor
