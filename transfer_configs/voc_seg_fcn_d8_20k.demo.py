"""voc_seg_fcn_d8_20k for a first look."""
_base_ = './voc_seg_fcn_d8_20k.small.py'
values = dict(max_test_images=100)
schedule = dict(iterations=100)
