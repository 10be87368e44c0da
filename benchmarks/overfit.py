"""Overfitting a handful of photographs: the network must find exactly their objects.

    python benchmarks/overfit.py --images train2017 --annotations instances_train2017.json

Trains the light network without augmentation on the first images that have a few large objects
and prints their mask AP every 50 steps. Exit code 0 once it reaches 0.9: losses, matching, masks,
NMS, assembly and evaluation then agree with each other.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from yolact_ros.config import variant
from yolact_ros.models import Yolact
from yolact_ros.training.annotations import DataSource, ImageRecord, category_names, read_source
from yolact_ros.training.augment import AugmentSettings
from yolact_ros.training.settings import TrainingSettings
from yolact_ros.training.trainer import Trainer
from yolact_ros.training.validation import Validator

WANTED_AP = 0.9
# Objects below a prior of the lowest level are a question of resolution, not of learning.
MIN_OBJECT_SHARE = 0.01
MAX_OBJECTS = 5


class Done(Exception):
    """The wanted AP is reached."""


def main() -> int:
    """Train and print the AP."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--annotations", type=Path, required=True)
    parser.add_argument("--count", type=int, default=8)
    parser.add_argument("--steps", type=int, default=800)
    parser.add_argument("--input-size", type=int, default=320)
    args = parser.parse_args()
    source = DataSource("overfit", args.images, args.annotations)
    names = category_names([source])
    records = [r for r in read_source(source, names)[0] if is_clear(r)][: args.count]
    used = sorted({item.class_id for record in records for item in record.objects})
    names = tuple(names[class_id] for class_id in used)
    chosen = {record.image_id for record in records}
    records = [r for r in read_source(source, names)[0] if r.image_id in chosen]
    print(f"{len(records)} images, {sum(len(r.objects) for r in records)} objects of {names}")
    validator = Validator(records, names)
    with tempfile.TemporaryDirectory() as folder:
        settings = TrainingSettings(
            output=Path(folder) / "run",
            network=variant("yolact_light", class_names=names, input_size_px=args.input_size),
            sources=(source,),
            steps=args.steps,
            batch_size=len(records),
            optimizer="adamw",
            learning_rate=1e-3,
            weight_decay=0.0,
            schedule="cosine",
            freeze_batch_norm="yes",
            ema_decay=0.9,
            workers=0,
            cache_images=True,
            checkpoint_every=0,
            validate_every=50,
            augment=AugmentSettings.none(),
        )
        best = 0.0

        def validate(network: Yolact, step: int) -> dict[str, float]:
            nonlocal best
            values = validator(network, step)
            best = max(best, values["mask_ap"])
            if best >= WANTED_AP:
                raise Done
            return values

        with contextlib.suppress(Done):
            Trainer(settings, records, validate=validate).run()
    print(f"mask AP {best:.3f}, wanted {WANTED_AP}")
    return 0 if best >= WANTED_AP else 1


def is_clear(record: ImageRecord) -> bool:
    """A few objects, none of them tiny or a crowd."""
    area = record.width_px * record.height_px
    sizes = [(x2 - x1) * (y2 - y1) for x1, y1, x2, y2 in (o.box_xyxy for o in record.objects)]
    return (
        1 <= len(sizes) <= MAX_OBJECTS
        and min(sizes) >= MIN_OBJECT_SHARE * area
        and not any(item.is_crowd for item in record.objects)
    )


if __name__ == "__main__":
    sys.exit(main())
