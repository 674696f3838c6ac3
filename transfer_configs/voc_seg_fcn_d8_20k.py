"""PASCAL VOC 2012 segmentation: FCN-D8, 20k iterations on train_aug (10,582 images), tested on val (1,449).

Used by DenseCL. Another protocol (dilation 6, 30k iterations; MoCo, BYOL) is called VOC segmentation too.
Run: densebench run voc_seg_fcn_d8_20k --checkpoint CKPT --data-root DATA
"""
_base_ = ['_base_/fcn_d8.py', '_base_/segmentation.py']
benchmark = dict(
    data='voc_seg', paper='arXiv:2011.09157 section 4.2; its mmsegmentation fork, configs/densecl')
values = dict(scale=(2048, 512), crop=(512, 512))
schedule = dict(iterations=20000, batch_size=16)
