# FCN on a ResNet dilated to stride 8, with an auxiliary head on stage 3
# (DenseCL's mmsegmentation configs; arXiv:2011.09157, section 4.2).
norm = dict(type='SyncBN', requires_grad=True)
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(type='SegDataPreProcessor', pad_val=0, seg_pad_val=255, size='$crop'),
    backbone=dict(out_indices=(0, 1, 2, 3), dilations=(1, 1, 2, 4), strides=(1, 2, 1, 1), contract_dilation=True,
                  norm_cfg=norm),
    decode_head=dict(
        type='FCNHead', in_channels='$c5', in_index=3, channels='$width', num_convs=2, concat_input=True,
        dropout_ratio=0.1, num_classes='$classes', norm_cfg=norm, align_corners='$align_corners',
        loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0)),
    auxiliary_head=dict(
        type='FCNHead', in_channels='$c4', in_index=2, channels='$auxiliary_width', num_convs=1, concat_input=False,
        dropout_ratio=0.1, num_classes='$classes', norm_cfg=norm, align_corners='$align_corners',
        loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=0.4)),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'))
trunk = {'': 'backbone.'}
# `linear`: the frozen C5 map, whitened, then one 1x1 convolution.
linear = dict(model=dict(
    decode_head=dict(
        _delete_=True, type='LinearHead', in_channels='$c5', in_index=3, channels='$c5', num_classes='$classes',
        whitening=dict(images=200), dropout_ratio=0.0, align_corners='$align_corners',
        loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0)),
    auxiliary_head=None))
