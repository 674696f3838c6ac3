# Faster R-CNN on a ResNet's C4 map, res5 as the box head with one more norm behind it
# (detectron2's Res5ROIHeadsExtraNorm, the detector of MoCo, arXiv:1911.05722, appendix A.2).
# $c4, $c5, $depth come from the backbone, $classes from the data, other $names from the task's `values`.
norm = dict(type='SyncBN', requires_grad=True)
box_coder = dict(type='DeltaXYWHBBoxCoder', target_means=[0.0] * 4)
model = dict(
    type='FasterRCNN',
    data_preprocessor=dict(type='DetDataPreprocessor', pad_size_divisor=32),
    backbone=dict(num_stages=3, strides=(1, 2, 2), dilations=(1, 1, 1), out_indices=(2,), norm_cfg=norm),
    rpn_head=dict(
        type='RPNHead', in_channels='$c4', feat_channels='$c4',
        anchor_generator=dict(type='AnchorGenerator', scales='$anchor_scales', ratios=[0.5, 1.0, 2.0], strides=[16]),
        bbox_coder=dict(target_stds=[1.0] * 4, **box_coder),
        loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=True, loss_weight=1.0),
        loss_bbox=dict(type='L1Loss', loss_weight=1.0)),
    roi_head=dict(
        type='StandardRoIHead',
        shared_head=dict(type='Res5ExtraNorm', depth='$depth', norm_cfg=norm, norm_eval=False),
        bbox_roi_extractor=dict(
            type='SingleRoIExtractor', out_channels='$c4', featmap_strides=[16],
            roi_layer=dict(type='RoIAlign', output_size=14, sampling_ratio=0)),
        bbox_head=dict(
            type='BBoxHead', with_avg_pool=True, roi_feat_size=7, in_channels='$c5', num_classes='$classes',
            bbox_coder=dict(target_stds=[0.1, 0.1, 0.2, 0.2], **box_coder), reg_class_agnostic=False,
            loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0),
            loss_bbox=dict(type='L1Loss', loss_weight=1.0))),
    train_cfg=dict(
        rpn=dict(
            assigner=dict(type='MaxIoUAssigner', pos_iou_thr=0.7, neg_iou_thr=0.3, min_pos_iou=0.3,
                          match_low_quality=True, ignore_iof_thr=-1),
            sampler=dict(type='RandomSampler', num=256, pos_fraction=0.5, neg_pos_ub=-1, add_gt_as_proposals=False),
            allowed_border=-1, pos_weight=-1, debug=False),
        rpn_proposal=dict(nms_pre=12000, max_per_img=2000, nms=dict(type='nms', iou_threshold=0.7), min_bbox_size=0),
        rcnn=dict(
            assigner=dict(type='MaxIoUAssigner', pos_iou_thr=0.5, neg_iou_thr=0.5, min_pos_iou=0.5,
                          match_low_quality=False, ignore_iof_thr=-1),
            sampler=dict(type='RandomSampler', num=512, pos_fraction=0.25, neg_pos_ub=-1, add_gt_as_proposals=True),
            pos_weight=-1, debug=False)),
    test_cfg=dict(
        rpn=dict(nms_pre=6000, max_per_img=1000, nms=dict(type='nms', iou_threshold=0.7), min_bbox_size=0),
        rcnn=dict(score_thr=0.05, nms=dict(type='nms', iou_threshold=0.5), max_per_img=100)))
trunk = {'': 'backbone.', 'layer4.': 'roi_head.shared_head.layer4.'}
