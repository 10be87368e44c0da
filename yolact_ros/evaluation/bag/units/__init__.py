"""Work units: the network, or what a robot recorded, over the frames of a bag, anywhere."""
