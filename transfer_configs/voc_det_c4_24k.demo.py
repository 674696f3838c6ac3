"""voc_det_c4_24k for a first look."""
_base_ = './voc_det_c4_24k.small.py'
values = dict(max_test_images=64)
schedule = dict(iterations=100, milestones=[75, 92])
