"""voc_seg_fcn_d8_20k as a CPU study: stride 16, scenes enlarged to 224 px and cut to 128, heads a quarter as wide."""
_base_ = './voc_seg_fcn_d8_20k.py'
values = dict(scale=(640, 224), crop=(128, 128), ratio_range=(0.8, 1.25), width=128, auxiliary_width=64,
              max_test_images=200)
model = dict(backbone=dict(strides=(1, 2, 2, 1), dilations=(1, 1, 1, 2)))
schedule = dict(iterations=400, batch_size=16)
optimizer = dict(lr=0.05)  # fewer steps, longer ones
linear = dict(optimizer=dict(lr=0.03), schedule=dict(batch_size=8))
precision = 'float32'  # of any CPU, so that the records of all stand in one table
