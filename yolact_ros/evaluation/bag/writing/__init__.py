"""New bags: of videos and photographs, of truth, and of results."""
