"""From an image to a prediction in time: preprocessing, runtimes, postprocessing, budget."""

__all__: list[str] = []
