"""voc_seg_fcn_d8_20k as a CPU study: scenes enlarged to 224 px and cut to 160, heads of a quarter of the width."""
_base_ = './voc_seg_fcn_d8_20k.py'
values = dict(scale=(640, 224), crop=(160, 160), ratio_range=(0.8, 1.25), width=128, auxiliary_width=64,
              max_test_images=200)
schedule = dict(iterations=400, batch_size=4)
optimizer = dict(lr=0.05)  # fewer steps, longer ones
linear = dict(optimizer=dict(lr=0.5))
precision = 'bfloat16'
