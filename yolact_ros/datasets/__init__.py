"""COCO files, of any tool, as plain records: the one reader of training, evaluation and bags.

What can be normalised is, what cannot be used is counted and named in
:class:`~yolact_ros.datasets.defects.Defects`.
"""
