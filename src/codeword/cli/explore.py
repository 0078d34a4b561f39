"""`codeword explore`."""

from __future__ import annotations

from typing import Annotated

import typer

from codeword.cli.app import Job, command
from codeword.cli.options import Method, Points
from codeword.cli.report import Seed, content_of

__all__: list[str] = []


@command(example="explore digits.ae digits", reads=("model", "source", "display"), split="test")
def explore(
    job: Job,
    port: Annotated[
        int, typer.Option(help="On this machine; 0 for any that is free.", min=0, max=65535)
    ] = 8866,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Say the address, open nothing.")] = False,
    max_points: Points = 5000,
    method: Method = "auto",
    seed: Seed = 0,
) -> None:
    """Open a page that the model answers: the report, live.

    Move over the map to see what the decoder makes of a place, draw or upload a sample of your own, go from
    one sample to another, color by cluster, and download what is selected. The address holds a key, and only
    this machine can reach it; Ctrl-C stops it.
    """
    from codeword.pages.server import listen, serve

    taken = listen(port)  # first: what comes then takes a while
    with taken:
        from codeword.pages.explorer import Explorer, most_points

        content = content_of(
            job, points=max_points, method=method, seed=seed, most_points=most_points(job.model)
        )

        def ready(address: str) -> None:
            facts = {"url": address, "n": content.n, "points": len(content.map.rows)}
            job.say(facts, f"{address}  (Ctrl-C stops it)")
            if not no_browser:
                _open(address)

        serve(Explorer(job.model, job.data, content), taken, ready)


def _open(address: str) -> None:
    """Show a page in the user's browser, where there is one; some of them return when they are closed."""
    import threading
    import webbrowser

    threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
