"""What each frame gives up so that its result is published within the frame budget.

``levels`` says what may be given up, ``cost`` what each level costs now, ``controller`` which
level the next frame can afford, ``backoff`` when a better one may be tried, ``budget`` plans a
frame from its reception to its publication, ``plan`` holds what it decides, and ``runner`` runs
the networks as planned. ``docs/budget.md`` has the reasoning.
"""
