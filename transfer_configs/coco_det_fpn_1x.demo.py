"""coco_det_fpn_1x for a first look."""
_base_ = './coco_det_fpn_1x.small.py'
values = dict(max_test_images=50)
schedule = dict(iterations=45, milestones=[30, 40])
precision = 'bfloat16'
