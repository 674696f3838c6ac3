"""PASCAL VOC detection: Faster R-CNN R50-C4, 24k iterations on VOC07+12 trainval, tested on VOC07 test.

Used by MoCo, DenseCL, ReSim, PixPro, VICReg. With DenseCL, ImageNet, 200 epochs: AP 58.7 (arXiv:2011.09157).
Run: densebench run voc_det_c4_24k --checkpoint CKPT --data-root DATA --seeds 0 1 2 3 4
"""
_base_ = ['_base_/faster_rcnn_c4.py', '_base_/detection.py']
benchmark = dict(
    data='voc_det',
    paper='arXiv:1911.05722 appendix A.2; DenseCL benchmarks/detection/configs/pascal_voc_R_50_C4_24k.yaml',
    metrics=[
        dict(key='AP', label='AP', scale='percent', better='higher'),
        dict(key='AP50', label='AP50', scale='percent', better='higher'),
        dict(key='AP75', label='AP75', scale='percent', better='higher')])
train_pipeline = [
    dict(type='LoadImage'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='KeepDifficult'),  # detectron2 trains them, and leaves them out of the test
    dict(type='RandomChoiceResize', scales='$train_scales', keep_ratio=True),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackDetInputs')]
schedule = dict(policy='step', iterations=24000, batch_size=16, milestones=[18000, 22000], gamma=0.1,
                warmup=100, warmup_factor=0.001)
evaluator = dict(type='VocAP', style='11points')  # detectron2 interpolates at 11 points on VOC2007 sets
precision = 'float32'
