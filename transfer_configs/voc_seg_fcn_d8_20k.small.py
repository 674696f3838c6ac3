"""voc_seg_fcn_d8_20k as a CPU study: 128 px cut to 96, heads of a quarter of the width, 500 iterations of 4 images."""
_base_ = './voc_seg_fcn_d8_20k.py'
values = dict(scale=(512, 128), crop=(96, 96), width=128, auxiliary_width=64, max_test_images=200)
schedule = dict(iterations=500, batch_size=4)
precision = 'bfloat16'
