"""Discrete codes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from codeword.base.constraints import BelowOne, Count, Fraction, NonNegative, whole, widths
from codeword.base.errors import DataError, ParameterError
from codeword.networks import Network, Spec
from codeword.networks.base import code_size
from codeword.networks.pca import PrincipalComponents
from codeword.objectives.base import Loss, Reconstruction

AboveOne = Annotated[int, (lambda v: whole(v, 2), "an integer above 1")]
Levels = Annotated[Sequence[int], (lambda v: widths(v) and 1 not in v, "a sequence of such")]


@dataclass(eq=False, repr=False)
class VectorQuantized(Reconstruction):
    """Codes from a finite set, which can be kept as a few integers.

    The gradient of a quantized code goes to what the encoder gave, unchanged (van den Oord et al. 2017,
    section 3.2). `transform` gives quantized codes, or with `indices=True` the integers, which
    `inverse_transform` takes too. It takes a code as it is: what `transform` gave is on the grid already, and
    one of your own need not be.

    Parameters
    ----------
    method : {"ema", "residual", "finite"}, default="ema"
        `ema` cuts the code into `groups` and takes the nearest entry of a codebook for each, van den Oord et
        al. 2017, eq. 1 to 3; codebooks follow the codes by exponential moving averages, their appendix A.1.
        `residual` takes the sum of `groups` entries of the length of the code, each the nearest to what
        those before it leave (Zeghidour et al. 2021, algorithm 1). `finite` rounds each number to one of
        `levels`, without a codebook (Mentzer et al. 2023, section 3.1).
    codebook_size : int, default=256
        Entries of each codebook.
    groups : int, default=4
        Codebooks, and integers to a code.
    levels : int or sequence of int, default=8
        For `finite`: how many values each number of the code can have.
    commitment : float, default=0.25
        β of van den Oord et al. 2017, eq. 3.
    decay : float in (0, 1), default=0.99
        Decay of the moving averages.
    revive : float, default=0.05
        An entry used less than this share of the usual is put where a random code of the batch is (after
        Dhariwal et al. 2020); 0 leaves entries dead.
    loss : {"mse", "bce", "l1", "huber"}, default="mse"
        See `Reconstruction`.
    """

    method: Literal["ema", "residual", "finite"] = "ema"
    codebook_size: AboveOne = 256
    groups: Count = 4
    levels: AboveOne | Levels = 8
    commitment: NonNegative = 0.25
    decay: Fraction = 0.99
    revive: BelowOne = 0.05
    loss: Loss = "mse"

    @property
    def whitened(self) -> bool:
        return self.method == "finite"

    def extra_modules(self, spec: Spec) -> nn.Module | None:
        """Counts of how often each entry is used, and sums of the codes that used it.

        Both are in units of the rows that an entry has where all have alike; their ratio is the codebook.
        Kept apart, their averages over several processes are what one with all of the rows would have.
        """
        super().extra_modules(spec)
        k = spec.n_components
        if self.method == "finite":
            if isinstance(self.levels, Sequence) and len(self.levels) != k:
                raise ParameterError(
                    f"The 'levels' parameter of VectorQuantized must have n_components, {k}, numbers. "
                    f"Got {self.levels!r} instead."
                )
            return None
        if self.method == "ema" and k % self.groups:
            raise ParameterError(
                f"The 'groups' parameter of VectorQuantized must divide n_components, {k}. "
                f"Got {self.groups} instead."
            )
        length = k // self.groups if self.method == "ema" else k
        extra = nn.Module()
        extra.register_buffer("counts", torch.ones(self.groups, self.codebook_size))
        extra.register_buffer("sums", torch.randn(self.groups, self.codebook_size, length))
        return extra

    @torch.no_grad()
    def init_weights(self, network: Network, baseline: PrincipalComponents) -> None:
        """Entries lie as the codes of PCA do."""
        super().init_weights(network, baseline)
        if self.method == "finite":
            return
        _, sums = _buffers(network)
        k = sums.shape[2] * (len(sums) if self.method == "ema" else 1)
        spread = F.pad(baseline.deviations / code_size(baseline), (0, k - len(baseline.deviations)))
        if self.method == "ema":
            sums *= spread.view(len(sums), 1, -1)
        else:  # each book has what the books before it leave, about half
            sums *= spread * 0.5 ** torch.arange(len(sums))[:, None, None]

    # -- quantization ---------------------------------------------------------------------------------------

    def quantize(self, network: Network, z: Tensor) -> tuple[Tensor, Tensor, list[Tensor]]:
        """The encoder's output (n, k) to codes (n, k), indices (n, m), and the input of each codebook."""
        z = z.float()
        if self.method == "finite":
            steps = self._rounded(z)
            return steps / self._half_width(z), (steps + self._half_width(z)).long(), []
        inputs: list[Tensor] = []
        chosen: list[Tensor] = []
        entries: list[Tensor] = []
        parts = z.chunk(self.groups, dim=1) if self.method == "ema" else [z] * self.groups
        for part, book in zip(parts, codebooks(network), strict=True):
            if self.method == "residual":
                part = part - sum(entries)
            index = nearest(part.detach(), book)
            inputs.append(part.detach())
            chosen.append(index)
            entries.append(book[index])
        code = torch.cat(entries, dim=1) if self.method == "ema" else torch.stack(entries).sum(dim=0)
        return code, torch.stack(chosen, dim=1), inputs

    def _half_width(self, z: Tensor) -> Tensor:
        return torch.div(self._levels(z), 2, rounding_mode="floor")

    def _levels(self, z: Tensor) -> Tensor:
        levels = self.levels if isinstance(self.levels, Sequence) else [self.levels] * z.shape[1]
        return torch.cat([torch.full((1,), float(n), device=z.device) for n in levels])

    def _rounded(self, z: Tensor) -> Tensor:
        """Mentzer et al. 2023, appendix A.1: integers, symmetric about 0 or, of an even number, about -½."""
        levels = self._levels(z)
        half = (levels - 1) * (1 + 1e-3) / 2
        offset = 0.5 * (1 - levels % 2)
        bounded = (z + (offset / half).atanh()).tanh() * half - offset
        return bounded + (bounded.round() - bounded).detach()

    def encode(self, network: Network, x: Tensor) -> Tensor:
        """The quantized codes."""
        return self.quantize(network, network.encoder(self.impute(x)))[0]

    def indices(self, network: Network, x: Tensor) -> Tensor:
        """The index of the entry in each codebook, or of each number's level."""
        return self.quantize(network, network.encoder(self.impute(x)))[1]

    def _sizes(self, indices: Tensor) -> Tensor:
        """The number of entries, or levels, that each index of a row chooses from."""
        if self.method == "finite":
            return self._levels(indices).long()
        return torch.full((self.groups,), self.codebook_size, device=indices.device)

    def lookup(self, network: Network, indices: Tensor) -> Tensor:
        sizes = self._sizes(indices)
        if indices.ndim != 2 or indices.shape[1] != len(sizes):
            raise DataError(
                f"indices must have the shape (n, {len(sizes)}), as transform(..., indices=True) gives them. "
                f"Got {tuple(indices.shape)} instead."
            )
        bad = ((indices < 0) | (indices >= sizes)).nonzero()
        if len(bad):
            row, column = bad[0].tolist()
            raise DataError(
                f"row {row}, column {column}: there is no entry {int(indices[row, column])}; expected 0 to "
                f"{int(sizes[column]) - 1}"
            )
        if self.method == "finite":
            half = self._half_width(indices)
            return (indices - half) / half
        entries = [book[i] for book, i in zip(codebooks(network), indices.unbind(dim=1), strict=True)]
        return torch.cat(entries, dim=1) if self.method == "ema" else torch.stack(entries).sum(dim=0)

    def project(self, network: Network, z: Tensor) -> Tensor:
        """The entries, or the levels, that are nearest."""
        if self.method != "finite":
            return self.quantize(network, z)[0]
        half = self._half_width(z)
        return (z * half).round().clamp(-half, self._levels(z) - 1 - half) / half

    def latent_metrics(self, network: Network, rows: Iterator[Tensor]) -> dict[str, list[float]]:
        """The share of each book's entries, or number's levels, in use."""
        every = torch.cat([self.indices(network, x).cpu() for x in rows])
        used = zip(every.unbind(dim=1), self._sizes(every).tolist(), strict=True)
        return {"codebook_use": [len(torch.unique(column)) / size for column, size in used]}

    def epoch_metrics(self, network: Network) -> dict[str, float]:
        """The perplexity, of how many entries as many would be used alike."""
        if self.method == "finite":
            return {}
        counts, _ = _buffers(network)
        shares = counts / counts.sum(dim=1, keepdim=True)
        return {"perplexity": float(torch.special.entr(shares).sum(dim=1).exp().mean())}

    # -- losses ---------------------------------------------------------------------------------------------

    def losses(self, network: Network, x: Tensor) -> dict[str, Tensor]:
        z = network.encoder(self.impute(x)).float()
        code, indices, inputs = self.quantize(network, z)
        if self.method == "finite":
            return {"error": self.errors(network, code, x).mean()}
        error = self.errors(network, z + (code - z).detach(), x).mean()
        if network.training:
            self._update_codebooks(network, indices, inputs)
        return {"error": error, "commitment": self.commitment * F.mse_loss(z, code.detach())}

    @torch.no_grad()
    def _update_codebooks(self, network: Network, indices: Tensor, inputs: list[Tensor]) -> None:
        """Move each codebook towards the codes of the batch that used it; revive its dead entries."""
        numbers = torch.arange(self.codebook_size, device=indices.device)
        for counts, sums, index, part in zip(*_buffers(network), indices.unbind(dim=1), inputs, strict=True):
            mean_count = counts.mean()
            dead = counts < self.revive * mean_count
            used = (index[:, None] == numbers).float()
            with torch.autocast(part.device.type, enabled=False):
                reached = used.T @ part
            even_share = len(part) / self.codebook_size
            counts.lerp_(used.sum(dim=0) / even_share, 1 - self.decay)
            sums.lerp_(reached / even_share, 1 - self.decay)
            if self.revive:
                chosen = part[torch.randint(len(part), (self.codebook_size,), device=part.device)]
                counts.copy_(torch.where(dead, mean_count, counts))
                sums.copy_(torch.where(dead[:, None], chosen * mean_count, sums))


def _buffers(network: Network) -> tuple[Tensor, Tensor]:
    return network.extra.get_buffer("counts"), network.extra.get_buffer("sums")


def codebooks(network: Network) -> Tensor:
    """The entries, (books, codebook_size, length)."""
    counts, sums = _buffers(network)
    return sums / counts.clamp_min(1e-12)[..., None]


def nearest(z: Tensor, book: Tensor) -> Tensor:
    """The index of the entry of `book` (entries, length) nearest to each row of z (n, length): shape (n,)."""
    with torch.autocast(z.device.type, enabled=False):
        return (book.square().sum(dim=1) - 2 * z @ book.T).argmin(dim=1)
