"""`mapush play --web`: the demo in a browser."""

from __future__ import annotations

import functools
import http.server
import tempfile
from pathlib import Path
from typing import List, Optional

import click
from click.core import ParameterSource

from ..errors import UserError
from .console import make_console, say

_TYPES = {".mjs": "text/javascript", ".js": "text/javascript", ".wasm": "application/wasm"}
_FOLLOWED = ("web", "out", "path", "pretrained", "object_name", "team", "overrides")
"""Parameters of `mapush play` that count with --web."""


def check(web: bool) -> None:
    """Refuse `--out` without `--web`, and options that `--web` would not follow."""
    if not web:
        raise UserError("--out is for --web; a recording goes to --record OUT.mp4")
    context = click.get_current_context()
    for parameter in context.command.params:
        given = context.get_parameter_source(str(parameter.name)) == ParameterSource.COMMANDLINE
        if given and parameter.expose_value and parameter.name not in _FOLLOWED:
            raise UserError(f"--web does not go with {parameter.opts[0]}; leave one of them out")


def show(source: Optional[Path], object_name: str, overrides: List[str], out: Optional[Path]) -> None:
    """Write the demo to `out`, or serve it on this machine until Ctrl-C; without a source with all shipped teams.

    Raises:
        UserError: the team cannot be shown.

    """
    from ..evaluation import policies, pretrained
    from ..web import build, team

    names = pretrained.names() if source is None else [source.name]
    paths = [pretrained.path(name) for name in names] if source is None else [source]
    teams = {name: policies.find(path, object_name, overrides)[-1] for name, path in zip(names, paths)}
    if source is None:  # a team for random objects is shown with --object
        teams = {name: team for name, team in teams.items() if team.config.object.family is None}
    console = make_console()
    for name, candidate in list(teams.items()) if source is None else []:
        try:
            team.check(candidate)
        except UserError as error:
            say(console, f"left out: {error}")
            del teams[name]
    if out is not None:
        build.build(out, teams, functools.partial(say, console))
        say(console, f"{out} is a static folder; any web server shows it: python -m http.server -d {out}")
        return
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "demo"
        build.build(folder, teams, functools.partial(say, console))
        handler = functools.partial(_Handler, directory=str(folder))
        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
            say(console, f"open http://127.0.0.1:{server.server_port}/ in a browser; Ctrl-C ends")
            server.serve_forever()


class _Handler(http.server.SimpleHTTPRequestHandler):
    """Serves a folder without a word for each request."""

    extensions_map = {**http.server.SimpleHTTPRequestHandler.extensions_map, **_TYPES}  # noqa: RUF012

    def log_message(self, format: str, *args: object) -> None:
        pass
