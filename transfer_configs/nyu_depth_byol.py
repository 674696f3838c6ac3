"""NYU v2 depth: up-projection decoder on conv5, reverse Huber loss, 7,500 steps of 256 images (BYOL, appendix D.6).

# NOTE: images are halved (640x480 to 320x240) and cropped to 304x228; prediction and label are compared there.
# NOTE: the paper names no learning-rate decay; none is applied.
# NOTE: it trains on NYU's raw recordings, as Laina et al. do; mmseg's layout holds 24,231 other frames of them.
# NOTE: errors are means over images; Laina et al. pool all pixels, and the paper does not say what it does.
Run: densebench run nyu_depth_byol --checkpoint CKPT --data-root DATA
"""
_base_ = ['_base_/depth_up_projection.py']
benchmark = dict(
    kind='depth', data='nyu_depth', paper='arXiv:2006.07733 appendix D.6', precise_bn=0,
    metrics=[
        dict(key='delta1', label='δ<1.25', scale='percent', better='higher'),
        dict(key='delta2', label='δ<1.25²', scale='percent', better='higher'),
        dict(key='delta3', label='δ<1.25³', scale='percent', better='higher'),
        dict(key='rms', label='rms', scale='metres', better='lower'),
        dict(key='rel', label='rel', scale='ratio', better='lower')])
values = dict(scale=(320, 240), crop=(228, 304), widths=(512, 256, 128, 64), max_test_images=None)
train_pipeline = [
    dict(type='LoadImage'),
    dict(type='LoadDepth'),
    dict(type='Resize', scale='$scale', keep_ratio=True),
    dict(type='CentreCrop', size='$crop'),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PhotoDistortion', grayscale=0.3, brightness=0.1255, saturation=(0.5, 1.5), hue=0.2),
    dict(type='PackSegInputs')]
test_pipeline = [
    dict(type='LoadImage'),
    dict(type='LoadDepth'),
    dict(type='Resize', scale='$scale', keep_ratio=True),
    dict(type='CentreCrop', size='$crop'),
    dict(type='PackSegInputs')]
optimizer = dict(type='SGD', lr=0.16, momentum=0.9, weight_decay=5e-4)
schedule = dict(policy='constant', iterations=7500, batch_size=256)
evaluator = dict(type='DepthErrors', min_depth=1e-3, max_depth='$max_depth')
test_batch_size = 1
precision = 'float32'
