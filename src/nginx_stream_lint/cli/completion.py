"""`nginx-stream-lint completion`."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from nginx_stream_lint.cli.common import unusable, write

_NAME = "nginx-stream-lint"


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion_command(ctx: click.Context, shell: str) -> None:
    """Print what makes a shell complete this command.

    Bash: eval "$(nginx-stream-lint completion bash)" in ~/.bashrc; zsh the same in ~/.zshrc; fish:
    nginx-stream-lint completion fish > ~/.config/fish/completions/nginx-stream-lint.fish
    """
    kind = get_completion_class(shell)
    assert kind is not None
    variable = f"_{_NAME.replace('-', '_').upper()}_COMPLETE"
    try:
        script = kind(ctx.find_root().command, {}, _NAME, variable).source()
    except (OSError, RuntimeError) as error:  # click asks bash for its version
        unusable(f"{shell}: {error}")
    write(script, None, False)
