"""Set-up of a checkout, with the standard library only: it runs before anything is installed."""
