"""cityscapes_seg_fcn_d8_40k for a first look."""
_base_ = './cityscapes_seg_fcn_d8_40k.small.py'
values = dict(max_test_images=50)
schedule = dict(iterations=100)
