"""STFPM models that anomalib taught: read from its files, and held to its own arithmetic.

Source: anomalib 2.7.0 (https://github.com/open-edge-platform/anomalib), src/anomalib/models/image/stfpm.
"""
