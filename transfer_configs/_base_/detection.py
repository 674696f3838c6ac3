# What both detection protocols share: images, augmentation, optimizer (detectron2's defaults, as the papers used them).
benchmark = dict(kind='detection', precise_bn=200)
values = dict(
    train_scales=[(1333, side) for side in range(480, 801, 32)],
    test_scale=(1333, 800), anchor_scales=[2, 4, 8, 16, 32], max_test_images=None)
test_pipeline = [
    dict(type='LoadImage'),
    dict(type='Resize', scale='$test_scale', keep_ratio=True),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='PackDetInputs', meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'))]
optimizer = dict(type='SGD', lr=0.02, momentum=0.9, weight_decay=1e-4)
paramwise = dict(norm_decay_mult=0.0)  # SOLVER.WEIGHT_DECAY_NORM
test_batch_size = 1
