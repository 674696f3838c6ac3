"""voc_det_c4_24k for a first look."""
_base_ = './voc_det_c4_24k.small.py'
values = dict(max_test_images=50)
schedule = dict(iterations=40, milestones=[30, 37])
precision = 'bfloat16'
