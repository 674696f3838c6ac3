"""The mm* backbones that mm* lack: what `benchmark.backbones` names in `config`."""

from benchmark.quiet import leave_out_multimodal

leave_out_multimodal()
