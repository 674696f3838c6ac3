"""cityscapes_seg_fcn_d8_40k for a first look."""
_base_ = './cityscapes_seg_fcn_d8_40k.small.py'
values = dict(scale=(513, 161), crop=(129, 129), max_test_images=25)
model = dict(test_cfg=dict(stride=(86, 86)))
schedule = dict(iterations=60)
