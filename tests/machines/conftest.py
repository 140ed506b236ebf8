"""What happens here happens on the disk."""

from support.on_disk import tmp_path

__all__ = ["tmp_path"]
