"""The mm* backbones that mm* lack: what `benchmark.backbones` names in `config`."""
