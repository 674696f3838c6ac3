"""The embedded data: small rendered scenes, written in the layouts of the real data sets."""

from pretrain.data.scenes.spec import CLASSES, GENERATOR_VERSION, STUFF
from pretrain.data.scenes.write import write

__all__ = ["CLASSES", "GENERATOR_VERSION", "STUFF", "write"]
