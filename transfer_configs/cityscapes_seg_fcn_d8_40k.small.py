"""cityscapes_seg_fcn_d8_40k as a CPU study: stride 16, scenes enlarged to 225 px, crops of 129 px, sliding windows."""
_base_ = './cityscapes_seg_fcn_d8_40k.py'
values = dict(scale=(641, 225), crop=(129, 129), ratio_range=(0.8, 1.25), width=128, auxiliary_width=64,
              max_test_images=100)
model = dict(backbone=dict(strides=(1, 2, 2, 1), dilations=(1, 1, 1, 2)), test_cfg=dict(stride=(86, 86)))
schedule = dict(iterations=400, batch_size=16)
optimizer = dict(lr=0.05)  # fewer steps, longer ones
linear = dict(optimizer=dict(lr=0.03), schedule=dict(batch_size=8))
precision = 'float32'  # of any CPU, so that the records of all stand in one table
