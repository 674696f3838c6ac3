"""Regions of images for DetCon: where they come from, one kind a file, and the store that keeps them.

Regions are planes of ids, uint16 (P, H, W): 0 is no region, and an id means the same region in every plane. One plane
is enough where regions do not overlap.
"""
