# What both segmentation protocols share: augmentation, optimizer, schedule (mmsegmentation's schedule_20k, _40k).
benchmark = dict(
    kind='segmentation', precise_bn=0,
    metrics=[
        dict(key='mIoU', label='mIoU', scale='percent', better='higher'),
        dict(key='mAcc', label='mean accuracy', scale='percent', better='higher'),
        dict(key='aAcc', label='pixel accuracy', scale='percent', better='higher')])
values = dict(width=512, auxiliary_width=256, align_corners=False, ratio_range=(0.5, 2.0), max_test_images=None)
train_pipeline = [
    dict(type='LoadImage'),
    dict(type='LoadLabels', classes='$classes'),
    dict(type='RandomResize', scale='$scale', ratio_range='$ratio_range', keep_ratio=True),
    dict(type='RandomCrop', crop_size='$crop', cat_max_ratio=0.75),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PhotoMetricDistortion'),
    dict(type='PackSegInputs')]
test_pipeline = [
    dict(type='LoadImage'),
    dict(type='Resize', scale='$scale', keep_ratio=True),
    dict(type='LoadLabels', classes='$classes'),  # after Resize: the label keeps its own resolution
    dict(type='PackSegInputs')]
optimizer = dict(type='SGD', lr=0.01, momentum=0.9, weight_decay=5e-4)
schedule = dict(policy='poly', power=0.9, min_lr=1e-4)
evaluator = dict(type='MeanIoU', num_classes='$classes', ignore_index=255)
test_batch_size = 1
precision = 'float32'
