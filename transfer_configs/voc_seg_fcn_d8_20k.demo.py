"""voc_seg_fcn_d8_20k for a first look."""
_base_ = './voc_seg_fcn_d8_20k.small.py'
values = dict(scale=(512, 160), crop=(96, 96), max_test_images=30)
schedule = dict(iterations=60, batch_size=4)
precision = 'bfloat16'
