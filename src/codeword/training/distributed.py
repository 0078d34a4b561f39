"""Several processes, on one machine or many, that train one model: ranks and sums on torch.distributed.

`torchrun` starts the processes and says in the environment who is who; without it there is one process, and
everything here does nothing.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch import distributed as dist

from codeword.base.errors import ParameterError

CPU = torch.device("cpu")


@dataclass(frozen=True)
class ProcessGroup:
    """The processes of a run. `rank` is this one's number, `size` how many there are."""

    rank: int = 0
    size: int = 1
    device: torch.device = CPU

    @classmethod
    def join(cls, device: torch.device) -> ProcessGroup:
        """Meet the processes that `torchrun` started, once; without `torchrun`, stand alone."""
        if "RANK" not in os.environ or int(os.environ.get("WORLD_SIZE", "1")) == 1:
            return cls(device=device)
        if not dist.is_available():
            raise ParameterError(
                "torchrun needs a torch that was built with torch.distributed; run one process"
            )
        if not dist.is_initialized():
            if device.type == "cuda":
                torch.cuda.set_device(device)
            dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
        return cls(dist.get_rank(), dist.get_world_size(), device)

    @property
    def is_main(self) -> bool:
        """Whether this process, of rank 0, writes files and speaks."""
        return self.rank == 0

    def sum(self, values: Tensor) -> None:
        """Add up `values` over the processes, in place."""
        if self.size > 1:
            dist.all_reduce(values)

    def broadcast_weights(self, network: nn.Module) -> None:
        """Give every process rank 0's weights and buffers."""
        if self.size > 1:
            for tensor in (*network.parameters(), *network.buffers()):
                dist.broadcast(tensor.data, 0)

    def average_buffers(self, network: nn.Module) -> None:
        """Average what is learned outside of gradients, such as codebooks and batch statistics."""
        if self.size > 1:
            for buffer in network.buffers():
                if buffer.is_floating_point():
                    dist.all_reduce(buffer)
                    buffer.div_(self.size)

    def barrier(self) -> None:
        """Go on when every process has come here."""
        if self.size > 1:
            dist.barrier()

    def broadcast(self, value: float) -> float:
        """Rank 0's value, on every process."""
        if self.size == 1:
            return value
        tensor = torch.tensor(value, dtype=torch.float64, device=self.device)
        dist.broadcast(tensor, 0)
        return float(tensor)

    def all_equal(self, flag: bool) -> bool:
        """Whether `flag` is true, on every process alike.

        Raises ParameterError if it is true on some only: what they look at is not on a disk that all of them
        share.
        """
        count = torch.tensor(int(flag), device=self.device)
        self.sum(count)
        if 0 < int(count) < self.size:
            raise ParameterError(
                "some processes see the checkpoint and others do not: keep it on a shared disk"
            )
        return bool(count)

    @staticmethod
    def destroy() -> None:
        """Part from the other processes, once all have come here: one that ends early takes them down."""
        if dist.is_available() and dist.is_initialized():
            dist.barrier()
            dist.destroy_process_group()


ALONE = ProcessGroup()
"""One process on the CPU."""
