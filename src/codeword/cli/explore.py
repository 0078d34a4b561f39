"""`codeword explore`."""

import threading

from typer import Option

from codeword.cli.app import MODEL, SOURCE, Job, Method, Points, Seed, command
from codeword.cli.report import content_of


@command("explore digits.ae digits", [*MODEL, *SOURCE, "display"], split="test")
def explore(
    job: Job,
    port: int = Option(8866, help="On this machine; 0 for any that is free.", min=0, max=65535),
    no_browser: bool = Option(False, "--no-browser", help="Say the address, open nothing."),
    max_points: Points = 5000,
    method: Method = "auto",
    seed: Seed = 0,
) -> None:
    """Open a page that the model answers: the report, live.

    Move over the map to see what the decoder makes of a place, draw or upload a sample of your own, go from
    one sample to another, color by cluster, and download what is selected. The address holds a key, and only
    this machine can reach it; Ctrl-C stops it.
    """
    from codeword.pages.explorer import Explorer, listen, serve

    with listen(port) as taken:  # first: what comes then takes a while
        content = content_of(job, points=max_points, method=method, seed=seed, live=True)

        def ready(address: str) -> None:
            facts = {"url": address, "n": content.n, "points": len(content.map.rows)}
            job.say(facts, f"{address}  (Ctrl-C stops it)")
            if not no_browser:
                import webbrowser

                # In a thread: some browsers return only when they are closed.
                threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()

        serve(Explorer(job.model, job.data, content), taken, ready)
