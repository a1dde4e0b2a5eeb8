"""From what the user named to pixels: which images are meant, decoding them, fitting them to the model."""
