"""`python -m uadx`."""

from uadx.cli import main

main()
