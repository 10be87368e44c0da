"""From an image to a prediction in time: preprocessing, runtimes, postprocessing, budget."""
