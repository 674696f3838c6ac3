"""cityscapes_seg_fcn_d8_40k for a first look."""
_base_ = './cityscapes_seg_fcn_d8_40k.small.py'
values = dict(scale=(513, 161), crop=(97, 97), max_test_images=25)
schedule = dict(iterations=60, batch_size=4)
precision = 'bfloat16'
