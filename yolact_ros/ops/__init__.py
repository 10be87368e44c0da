"""Array operations of the network and its losses; pure functions of tensors."""

__all__: list[str] = []
