"""Quality of service that the user gave: the parameters ``qos_overrides.<topic>.subscription.*``.

They are those of rclpy's QoSOverridingOptions, which raises over a value that cannot be used; so
they are declared here, where such a value is refused and the default stays, as with the node's
other parameters. They can only be given at start.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy

from yolact_ros.ros.parameter_server import declare_parameter
from yolact_ros.ros.parameter_spec import ParameterSpec
from yolact_ros.ros.qos import image_qos

__all__ = ["QosOverrides"]

# Of rclpy's names for the policy: nothing is asked for, the node's parameter decides.
UNSET = "system_default"
MAX_DEPTH = 1000


@dataclass(frozen=True)
class QosOverrides:
    """What the user asks of one subscription.

    Attributes:
        reliability: None leaves the choice to the node.
    """

    history: HistoryPolicy
    depth: int
    durability: DurabilityPolicy
    reliability: ReliabilityPolicy | None

    @classmethod
    def declare(
        cls, node: Node, topic: str, refused: Callable[[str, str], object]
    ) -> QosOverrides:
        """Declare the parameters of a topic, if they are not, and read them.

        Args:
            refused: called with the policy and the reason of every value that cannot be used.
        """
        values: dict[str, Any] = {}
        for spec in _specs(topic):
            policy = spec.name.rpartition(".")[2]
            if not node.has_parameter(spec.name):
                declare_parameter(node, spec, partial(refused, policy))
            values[policy] = node.get_parameter(spec.name).value
        reliability = values["reliability"]
        return cls(
            HistoryPolicy[values["history"].upper()],
            values["depth"],
            DurabilityPolicy[values["durability"].upper()],
            None if reliability == UNSET else ReliabilityPolicy[reliability.upper()],
        )

    @property
    def latched(self) -> bool:
        """Images published before the subscription are asked for."""
        return self.durability == DurabilityPolicy.TRANSIENT_LOCAL

    def profile(self, *, reliable: bool) -> QoSProfile:
        """What to subscribe with, where the node chose this reliability."""
        profile = image_qos(reliable=reliable)
        profile.history, profile.depth = self.history, self.depth
        profile.durability = self.durability
        profile.reliability = self.reliability or profile.reliability
        return profile

    def in_words(self) -> str:
        """What differs from the node's own choice, for people; empty where nothing does."""
        usual = image_qos(reliable=False)
        words = []
        if self.reliability is not None:
            words.append(f"reliability {self.reliability.name.lower()}")
        if self.history != usual.history:
            words.append(f"history {self.history.name.lower()}")
        if self.depth != usual.depth:
            words.append(f"depth {self.depth}")
        if self.latched:
            words.append(f"durability {self.durability.name.lower()}")
        return ", ".join(words)


def _specs(topic: str) -> tuple[ParameterSpec, ...]:
    prefix = f"qos_overrides.{topic}.subscription"
    return (
        ParameterSpec(
            f"{prefix}.history",
            "keep_last",
            f"Which images of {topic} wait for the node: the newest ones, depth many, or all.",
            change="start",
            choices=("keep_last", "keep_all"),
        ),
        ParameterSpec(
            f"{prefix}.depth",
            1,
            f"Number of images of {topic} that wait for the node; it works on the newest only.",
            change="start",
            unit="images",
            limits=(1, MAX_DEPTH),
        ),
        ParameterSpec(
            f"{prefix}.reliability",
            UNSET,
            f"Reliability of {topic}; {UNSET} leaves it to the parameter reliability.",
            change="start",
            choices=(UNSET, "reliable", "best_effort"),
        ),
        ParameterSpec(
            f"{prefix}.durability",
            "volatile",
            f"Whether images of {topic} from before the subscription are asked for.",
            change="start",
            choices=("volatile", "transient_local"),
        ),
    )
