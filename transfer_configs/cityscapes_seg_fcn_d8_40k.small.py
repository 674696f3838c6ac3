"""cityscapes_seg_fcn_d8_40k as a CPU study: crops of 97 px, sliding windows, 500 iterations of 4 images."""
_base_ = './cityscapes_seg_fcn_d8_40k.py'
values = dict(scale=(513, 129), crop=(97, 97), width=128, auxiliary_width=64, max_test_images=200)
model = dict(test_cfg=dict(stride=(65, 65)))
schedule = dict(iterations=500, batch_size=4)
precision = 'bfloat16'
