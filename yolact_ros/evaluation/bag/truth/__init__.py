"""Known instances of the frames of a bag, from files and topics."""
