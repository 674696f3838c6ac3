"""Augmentations that remember where every pixel went."""
