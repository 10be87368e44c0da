"""Speed: stages and runtimes of one network, scaling curves, and results of a running node."""
