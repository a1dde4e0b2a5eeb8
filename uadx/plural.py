"""How counts are written for people."""


def counted(number: int, noun: str) -> str:
    """ "1 image", "2 images"."""
    return f"{number} {noun}{'s' * (number != 1)}"
