"""What mmdet and mmseg lack: heads, the trunk's loading and the transforms. Importing a module registers what it holds."""

from benchmark.quiet import leave_out_multimodal

leave_out_multimodal()
