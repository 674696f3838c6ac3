"""voc_seg_fcn_d8_20k as a CPU study: crops of 128 px, heads of a quarter of the width, 400 iterations of 8 images."""
_base_ = './voc_seg_fcn_d8_20k.py'
values = dict(scale=(512, 128), crop=(96, 96), width=128, auxiliary_width=64, max_test_images=200)
schedule = dict(iterations=400, batch_size=8)
test_batch_size = 1
precision = 'bfloat16'
