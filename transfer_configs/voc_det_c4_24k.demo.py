"""voc_det_c4_24k for a first look."""
_base_ = './voc_det_c4_24k.small.py'
values = dict(max_test_images=50)
schedule = dict(iterations=45, milestones=[34, 41])
precision = 'bfloat16'
