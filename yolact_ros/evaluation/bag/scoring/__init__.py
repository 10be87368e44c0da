"""From records and truth to tables and numbers."""
