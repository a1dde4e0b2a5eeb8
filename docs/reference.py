"""Write docs/cli.md, what every command says of itself: python docs/reference.py"""

from __future__ import annotations

from pathlib import Path

import click

from uadx.cli import COMMANDS, app

HEAD = """\
# Every command and option

What `uadx COMMAND --help` says, written by `python docs/reference.py`; a test holds both together.

All exit codes: 0 done · 1 something could not be written, or is unexpected · 2 usage · 3 a plugin or a configuration
file · 4 a device or a package is not there · 5 the model · 6 it ran elsewhere, or with other numbers, than was asked
for · 7 the device failed · 8 done, but for inputs that could not be read · 9 `uadx check` or `uadx drift` found
something · 10 anomalies, with `--fail-on-anomaly` · 130 Ctrl-C · 143 SIGTERM.
"""


def reference() -> str:
    """The page."""
    names = app.context_settings["help_option_names"]
    root = click.Context(app, info_name="uadx", help_option_names=names)
    parts = [HEAD]
    for name in COMMANDS:
        command = app.get_command(root, name)
        assert command is not None
        context = click.Context(command, root, name, max_content_width=110, terminal_width=110)
        parts.append(f"## uadx {name}\n\n```text\n{command.get_help(context)}\n```\n")
    return "\n".join(parts)


if __name__ == "__main__":
    (Path(__file__).parent / "cli.md").write_text(reference(), "utf-8")
