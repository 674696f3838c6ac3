"""cityscapes_seg_fcn_d8_40k as a CPU study: crops of 129 px, sliding windows, 400 iterations of 8 images."""
_base_ = './cityscapes_seg_fcn_d8_40k.py'
values = dict(scale=(513, 161), crop=(129, 129), width=128, auxiliary_width=64, max_test_images=200)
model = dict(test_cfg=dict(stride=(86, 86)))
schedule = dict(iterations=400)
precision = 'bfloat16'
