"""Finds operations that would make the host wait for a device, in code that runs on the CPU."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

# They bring a value to the host, or their result's shape depends on values.
WAITING = {
    "aten::_local_scalar_dense",
    "aten::_unique2",
    "aten::equal",
    "aten::is_nonzero",
    "aten::masked_select",
    "aten::nonzero",
    "aten::nonzero_numpy",
    "aten::repeat_interleave",
    "aten::unique_consecutive",
    "aten::unique_dim",
}
# With a mask as index their shape depends on values too.
INDEXING = {"aten::index", "aten::index_put", "aten::index_put_", "aten::_index_put_impl_"}


class NoWaiting(TorchDispatchMode):
    """Fails at the first operation that a CUDA device would be waited for, or could not capture.

    What ``torch.cuda.set_sync_debug_mode("error")`` does with a GPU, without one.
    Blind to ``tolist()`` and ``numpy()``, which no operation is behind.
    """

    def __torch_dispatch__(
        self,
        function: Any,
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        name = function._schema.name
        if name in WAITING:
            raise AssertionError(f"{name} waits for the device")
        if name in INDEXING and any(
            isinstance(index, Tensor) and index.dtype in (torch.bool, torch.uint8)
            for index in args[1]
        ):
            raise AssertionError(f"{name} with a mask as index waits for the device")
        return function(*args, **(kwargs or {}))
