"""Array operations of the network and its losses; pure functions of tensors."""
