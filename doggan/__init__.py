"""doggan: from the Stanford Dogs photographs to a scored submission of 10,000 generated dogs."""

__version__ = "0.1.0"
