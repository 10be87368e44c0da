"""The demo over real topics: a clip as a camera, and a viewer that records what comes back."""
