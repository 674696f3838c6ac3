"""coco_det_fpn_1x as a CPU study: 160 px, heads of a quarter of the width, 400 iterations of 4 images with 64 RoIs."""
_base_ = './coco_det_fpn_1x.py'
benchmark = dict(precise_bn=0)
values = dict(train_scales=[(192, 144), (192, 160), (192, 176)], test_scale=(192, 160), anchor_scales=[4],
              width=64, fc_width=256, finest_scale=28, max_test_images=200)
model = dict(
    train_cfg=dict(rpn=dict(sampler=dict(num=128)), rpn_proposal=dict(nms_pre=500, max_per_img=200),
                   rcnn=dict(sampler=dict(num=64))),
    test_cfg=dict(rpn=dict(nms_pre=500, max_per_img=100), rcnn=dict(max_per_img=50)))
schedule = dict(iterations=400, batch_size=4, milestones=[267, 356], warmup=20)
test_batch_size = 8
precision = 'float32'  # of any CPU, so that the records of all stand in one table
