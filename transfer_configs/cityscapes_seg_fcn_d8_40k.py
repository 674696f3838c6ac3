"""Cityscapes segmentation: FCN-D8, 40k iterations at 769x769 on fine train (2,975 images), tested on val (500).

Used by DenseCL. Run: densebench run cityscapes_seg_fcn_d8_40k --checkpoint CKPT --data-root DATA
"""
_base_ = ['_base_/fcn_d8.py', '_base_/segmentation.py']
benchmark = dict(data='cityscapes_seg', paper='arXiv:2011.09157; configs/densecl/fcn_r50-d8_769x769_40k_cityscapes.py')
values = dict(scale=(2049, 1025), crop=(769, 769), align_corners=True)
model = dict(test_cfg=dict(mode='slide', crop_size='$crop', stride=(513, 513)))
schedule = dict(iterations=40000, batch_size=8)
