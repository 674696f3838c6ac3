# Mask R-CNN on a feature pyramid, box head of 4 convolutions and 1 fully connected layer, SyncBN in every head
# (DenseCL benchmarks/detection/configs/Base-RCNN-FPN.yaml; arXiv:2011.09157, section 4.2).
norm = dict(type='SyncBN', requires_grad=True)
box_coder = dict(type='DeltaXYWHBBoxCoder', target_means=[0.0] * 4)
model = dict(
    type='MaskRCNN',
    data_preprocessor=dict(type='DetDataPreprocessor', pad_mask=True, pad_size_divisor=32),
    backbone=dict(out_indices=(0, 1, 2, 3), norm_cfg=norm),
    neck=dict(type='FPN', in_channels='$channels', out_channels='$width', num_outs=5, norm_cfg=norm),
    rpn_head=dict(
        type='RPNHead', in_channels='$width', feat_channels='$width',
        anchor_generator=dict(type='AnchorGenerator', scales='$anchor_scales', ratios=[0.5, 1.0, 2.0],
                              strides=[4, 8, 16, 32, 64]),
        bbox_coder=dict(target_stds=[1.0] * 4, **box_coder),
        loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=True, loss_weight=1.0),
        loss_bbox=dict(type='L1Loss', loss_weight=1.0)),
    roi_head=dict(
        type='StandardRoIHead',
        bbox_roi_extractor=dict(
            type='SingleRoIExtractor', out_channels='$width', featmap_strides=[4, 8, 16, 32],
            finest_scale='$finest_scale', roi_layer=dict(type='RoIAlign', output_size=7, sampling_ratio=0)),
        bbox_head=dict(
            type='Shared4Conv1FCBBoxHead', in_channels='$width', conv_out_channels='$width',
            fc_out_channels='$fc_width', roi_feat_size=7, num_classes='$classes', norm_cfg=norm,
            bbox_coder=dict(target_stds=[0.1, 0.1, 0.2, 0.2], **box_coder), reg_class_agnostic=False,
            loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0),
            loss_bbox=dict(type='L1Loss', loss_weight=1.0)),
        mask_roi_extractor=dict(
            type='SingleRoIExtractor', out_channels='$width', featmap_strides=[4, 8, 16, 32],
            finest_scale='$finest_scale', roi_layer=dict(type='RoIAlign', output_size=14, sampling_ratio=0)),
        mask_head=dict(
            type='FCNMaskHead', num_convs=4, in_channels='$width', conv_out_channels='$width',
            num_classes='$classes', norm_cfg=norm,
            loss_mask=dict(type='CrossEntropyLoss', use_mask=True, loss_weight=1.0))),
    train_cfg=dict(
        rpn=dict(
            assigner=dict(type='MaxIoUAssigner', pos_iou_thr=0.7, neg_iou_thr=0.3, min_pos_iou=0.3,
                          match_low_quality=True, ignore_iof_thr=-1),
            sampler=dict(type='RandomSampler', num=256, pos_fraction=0.5, neg_pos_ub=-1, add_gt_as_proposals=False),
            allowed_border=-1, pos_weight=-1, debug=False),
        rpn_proposal=dict(nms_pre=2000, max_per_img=1000, nms=dict(type='nms', iou_threshold=0.7), min_bbox_size=0),
        rcnn=dict(
            assigner=dict(type='MaxIoUAssigner', pos_iou_thr=0.5, neg_iou_thr=0.5, min_pos_iou=0.5,
                          match_low_quality=False, ignore_iof_thr=-1),
            sampler=dict(type='RandomSampler', num=512, pos_fraction=0.25, neg_pos_ub=-1, add_gt_as_proposals=True),
            mask_size=28, pos_weight=-1, debug=False)),
    test_cfg=dict(
        rpn=dict(nms_pre=1000, max_per_img=1000, nms=dict(type='nms', iou_threshold=0.7), min_bbox_size=0),
        rcnn=dict(score_thr=0.05, nms=dict(type='nms', iou_threshold=0.5), max_per_img=100, mask_thr_binary=0.5)))
trunk = {'': 'backbone.'}
