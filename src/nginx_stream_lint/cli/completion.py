"""`nginx-stream-lint completion`."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from nginx_stream_lint.cli.common import unusable, write
from nginx_stream_lint.cli.help import HelpfulCommand

_NAME = "nginx-stream-lint"


@click.command(
    "completion",
    cls=HelpfulCommand,
    groups={},
    examples={
        'eval "$(nginx-stream-lint completion bash)"': "Bash: add this line to ~/.bashrc:",
        'eval "$(nginx-stream-lint completion zsh)"': "Zsh: add this line to ~/.zshrc:",
        "nginx-stream-lint completion fish > ~/.config/fish/completions/nginx-stream-lint.fish": (
            "Fish: run this once:"
        ),
    },
    exit_status={0: "The script was printed.", 2: "The shell is unknown or too old."},
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion_command(ctx: click.Context, shell: str) -> None:
    """Print the shell completion script."""
    kind = get_completion_class(shell)
    assert kind is not None
    variable = f"_{_NAME.replace('-', '_').upper()}_COMPLETE"
    try:
        script = kind(ctx.find_root().command, {}, _NAME, variable).source()
    except (OSError, RuntimeError) as error:  # click runs bash to get its version
        unusable(f"{shell}: {error}")
    write(script, None, False)
