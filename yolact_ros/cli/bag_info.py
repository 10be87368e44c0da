"""``yolact bag info``."""

from __future__ import annotations

import argparse

from yolact_ros.cli.bag_progress import ProgressBars

__all__ = ["DESCRIPTION", "add_arguments", "run"]

DESCRIPTION = """\
Lists the topics of a bag and what is damaged in it. With --read every message is read, so that
damage inside is found too.

exit code: 0 sound, 1 damaged, 2 not readable at all"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("bag", metavar="BAG", help="folder, .mcap or .db3; path or address")
    parser.add_argument("--read", action="store_true", help="read every message")


def run(args: argparse.Namespace) -> int:
    """Print the list; 0, or 1 if something is damaged."""
    from yolact_ros.evaluation.bag.reading.location import location
    from yolact_ros.evaluation.bag.reading.storage import Bag

    with Bag(location(args.bag)) as bag:
        topics = sorted(bag.topics.values(), key=lambda topic: topic.name)
        width = max((len(topic.name) for topic in topics), default=0)
        for topic in topics:
            count = "?" if topic.message_count is None else str(topic.message_count)
            print(f"{topic.name:<{width}}  {count:>8}  {topic.message_type}")
        if args.read:
            with ProgressBars() as bars:
                counts = [topic.message_count for topic in topics]
                total = None if None in counts else sum(count or 0 for count in counts)
                told = bars.start(bag.path.name, total)
                for _ in bag.messages(set(bag.topics)):
                    told(1)
        for problem in bag.problems.examples:
            print(f"{problem['kind']}: {problem['place']}: {problem['reason']}")
        return 1 if len(bag.problems) else 0
