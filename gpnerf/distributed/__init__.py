"""Which process of how many this is, what they agree on, and the device it computes on."""

from gpnerf.distributed.context import Context, context, init
from gpnerf.distributed.device import count_gpus, select_device

__all__ = ["Context", "context", "count_gpus", "init", "select_device"]
