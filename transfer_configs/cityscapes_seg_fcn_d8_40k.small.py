"""cityscapes_seg_fcn_d8_40k as a CPU study: scenes enlarged to 225 px, crops of 161 px, sliding windows."""
_base_ = './cityscapes_seg_fcn_d8_40k.py'
values = dict(scale=(641, 225), crop=(161, 161), ratio_range=(0.8, 1.25), width=128, auxiliary_width=64,
              max_test_images=100)
model = dict(test_cfg=dict(stride=(107, 107)))
schedule = dict(iterations=400, batch_size=4)
optimizer = dict(lr=0.05)  # fewer steps, longer ones
linear = dict(optimizer=dict(lr=0.5))
precision = 'bfloat16'
