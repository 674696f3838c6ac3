"""voc_det_c4_24k as a CPU study: 160 px, 400 iterations of 4 images with 16 RoIs (up to half of them objects) of 8 x 8.

Res5 on every RoI is nearly all of the cost.
"""
_base_ = './voc_det_c4_24k.py'
benchmark = dict(precise_bn=0)
values = dict(train_scales=[(192, 144), (192, 160), (192, 176)], test_scale=(192, 160), anchor_scales=[1, 2, 4, 8],
              max_test_images=200)
model = dict(
    data_preprocessor=dict(pad_size_divisor=16),
    roi_head=dict(bbox_roi_extractor=dict(roi_layer=dict(output_size=8)), bbox_head=dict(roi_feat_size=4)),
    train_cfg=dict(rpn=dict(sampler=dict(num=128)), rpn_proposal=dict(nms_pre=500, max_per_img=200),
                   rcnn=dict(sampler=dict(num=16, pos_fraction=0.5))),
    test_cfg=dict(rpn=dict(nms_pre=500, max_per_img=50), rcnn=dict(max_per_img=50)))
schedule = dict(iterations=400, batch_size=4, milestones=[300, 367], warmup=20)
test_batch_size = 8
precision = 'float32'  # of any CPU, so that the records of all stand in one table
