"""Training: data sets, augmentation, matching, losses and the loop around them."""
