"""The evaluators: mmengine metrics that give full floats, each a thin wrapper around pure functions."""

from benchmark.metrics.coco import CocoAP
from benchmark.metrics.depth import DepthErrors
from benchmark.metrics.miou import MeanIoU
from benchmark.metrics.voc import VocAP

__all__ = ["CocoAP", "DepthErrors", "MeanIoU", "VocAP"]
