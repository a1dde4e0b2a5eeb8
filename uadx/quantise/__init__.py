"""The int8 form of a bundle's model: the same networks in 8-bit integers, with numbers of its own to be held to."""
