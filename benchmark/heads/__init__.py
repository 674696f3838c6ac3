"""What mmdet and mmseg lack: heads, the trunk's loading and the transforms. Importing registers them."""
