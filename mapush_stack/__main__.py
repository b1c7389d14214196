"""`python -m mapush_stack` is `mapush`."""

import signal


def run() -> None:
    """The `mapush` command."""
    before = signal.getsignal(signal.SIGINT)
    if before is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C during the imports ends the process without a traceback
    from .cli.main import main
    from .system import exit

    signal.signal(signal.SIGINT, before)
    exit.run(main)


if __name__ == "__main__":
    run()
