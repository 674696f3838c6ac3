"""nyu_depth_byol as a CPU study: 160 px cut to 152, a decoder of a quarter of the width, 500 iterations of 4 images."""
_base_ = './nyu_depth_byol.py'
values = dict(scale=(320, 160), crop=(152, 152), widths=(128, 64, 32, 16), max_test_images=200)
optimizer = dict(lr=0.02)
schedule = dict(iterations=500, batch_size=4)
test_batch_size = 8
precision = 'float32'  # of any CPU, so that the records of all stand in one table
