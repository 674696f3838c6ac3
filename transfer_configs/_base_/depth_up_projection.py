# Depth from conv5 through four fast up-projection blocks (Laina et al., arXiv:1606.00373, section 3.1, fig. 2)
# as BYOL evaluates it (arXiv:2006.07733, appendix D.6).
norm = dict(type='SyncBN', requires_grad=True)
model = dict(
    type='DepthEstimator',
    data_preprocessor=dict(type='SegDataPreProcessor', pad_val=0, seg_pad_val=0, size='$crop'),
    backbone=dict(out_indices=(3,), norm_cfg=norm),
    decode_head=dict(type='UpProjectionHead', in_channels='$c5', widths='$widths', norm_cfg=norm,
                     max_depth='$max_depth'),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'))
trunk = {'': 'backbone.'}
# `linear`: the frozen C5 map, whitened, then one 1x1 convolution to metres, by Adam.
linear = dict(
    model=dict(decode_head=dict(
        _delete_=True, type='LinearDepthHead', in_channels='$c5', whitening=dict(images=200),
        max_depth='$max_depth')),
    optimizer=dict(_delete_=True, type='AdamW', lr=1e-3, weight_decay=0.0),
    schedule=dict(policy='poly', power=0.9, min_lr=0.0))
