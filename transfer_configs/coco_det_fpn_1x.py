"""COCO detection and instance segmentation: Mask R-CNN R50-FPN, 1x schedule, 4conv1fc box head, SyncBN in the heads.

Used by DenseCL, PixPro, SlotCon. Another, weaker protocol (2fc box head) shares the name "1x": never mix the two.
Run: densebench run coco_det_fpn_1x --checkpoint CKPT --data-root DATA
"""
_base_ = ['_base_/mask_rcnn_fpn.py', '_base_/detection.py']
benchmark = dict(
    data='coco_det', paper='arXiv:2011.09157 section 4.2; DenseCL benchmarks/detection/configs/R_50_FPN_1x.yaml',
    metrics=[dict(key=f'{kind}_{key}', label=f'{key}^{mark}', scale='percent', better='higher')
             for kind, mark in (('bbox', 'b'), ('segm', 'm')) for key in ('AP', 'AP50', 'AP75')])
values = dict(
    train_scales=[(1333, side) for side in range(640, 801, 32)],
    anchor_scales=[8], width=256, fc_width=1024, finest_scale=56)
train_pipeline = [
    dict(type='LoadImage'),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='RandomChoiceResize', scales='$train_scales', keep_ratio=True),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackDetInputs')]
schedule = dict(policy='step', iterations=90000, batch_size=16, milestones=[60000, 80000], gamma=0.1,
                warmup=1000, warmup_factor=0.001)
evaluator = dict(type='CocoAP', metric=('bbox', 'segm'))
precision = 'float32'
