"""nyu_depth_byol for a first look."""
_base_ = './nyu_depth_byol.small.py'
values = dict(max_test_images=100)
schedule = dict(iterations=60)
precision = 'bfloat16'
