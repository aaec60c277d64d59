"""The image that all components run in."""

from loopwright import __version__

# The word python in the name is what KFP's local runner looks for before it runs a component without an image.
IMAGE = f"loopwright/component-python:{__version__}"
