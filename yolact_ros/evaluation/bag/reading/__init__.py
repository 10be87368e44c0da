"""Bags as they are found: where they are, sound or damaged, and the messages in them."""
