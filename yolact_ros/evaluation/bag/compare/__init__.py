"""Evaluations beside each other, with what may be chance."""
