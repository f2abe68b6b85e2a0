"""Answers made of data, and what a test asks of a picture."""

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from stages.lab.bench.bench import Answer
from stages.lab.bench.verdict import Verdict
from stages.lab.clients.client import Client, Ending
from stages.lab.clients.dialects import DIALECTS, read
from stages.lab.clients.sse import Parser
from stages.lab.matrix.cells import Cell
from stages.lab.pictures.picture import SETTINGS, Picture
from stages.lab.upstream.ledger import End, Entry, Sent, SentKind

START_S = 5000.0  # the clock is monotonic: where it begins means nothing


SentFields = tuple[float, SentKind] | tuple[float, SentKind, str]  # the fields of `Sent`


def client(
    *chunks: tuple[float, bytes],
    ended: Ending | None = "clean",
    ended_s: float = 1.0,
    status: int | None = 200,
) -> Client:
    """A client that read these chunks at these seconds after its request."""
    made, parser = Client("http://127.0.0.1/chat", b""), Parser()
    made.sent_s = START_S
    if status is not None:
        kind = "text/event-stream" if status == 200 else "application/json"
        made.status, made.headers_s, made.headers = status, START_S + 0.01, {"content-type": kind}
    for at_s, data in chunks:
        made.body += data
        made.items += [(START_S + at_s, item) for item in parser.feed(data)]
    made.ended, made.ended_s = ended, None if ended is None else START_S + ended_s
    return made


def entry(
    *sent: SentFields,
    ended: End | None = "complete",
    at_s: float = 0.9,
    tokens: int = -1,
) -> Entry:
    """An entry of a ledger with these steps; `tokens` counts those of them unless told."""
    kept = [Sent(START_S + at_s, *step) for at_s, *step in sent]
    counted = sum(step.kind == "token" for step in kept)
    made = Entry(0, "s1", {}, received_s=START_S + 0.02, tokens=counted if tokens < 0 else tokens)
    made.sent = kept
    made.ended, made.ended_s = ended, None if ended is None else START_S + at_s
    return made


def answer(of: Client, of_upstream: Entry | None = None, *, dialect: str = "stages") -> Answer:
    """An answer as a bench returns it."""
    return Answer(of, read(DIALECTS[dialect], of.events), of_upstream)


def plain(wire: bytes, *sent: str, ended: Ending = "clean") -> Answer:
    """An answer in the dialect of s01: this wire, after the upstream sent these tokens."""
    steps: list[SentFields] = [(0.1, "token", text) for text in sent]
    whole = entry(*steps, (0.9, "finish"))
    return answer(client((0.1, wire), ended=ended), whole, dialect="plain")


TOKEN = b'event: token\ndata: {"index": 0, "text": "Hello"}\n\n'
DONE = b'event: done\ndata: {"finish_reason": "stop", "usage": null}\n\n'
ERROR = b'event: error\ndata: {"code": "upstream_failed"}\n\n'
PING = b": ping\n\n"

WHOLE = answer(
    client((0.3, TOKEN), (0.9, DONE)),
    entry(
        (0.03, "headers"),
        (0.03, "role"),
        (0.29, "token", "Hello"),
        (0.89, "finish"),
        (0.89, "done"),
    ),
)
BROKEN = entry((0.03, "headers"), (0.29, "token", "Hello"), ended="cut")
TOLD = answer(client((0.3, TOKEN), (0.95, ERROR)), BROKEN)
NOT_TOLD = answer(client((0.3, TOKEN), ended="cut"), BROKEN)


def cell(
    probe: str,
    target: str,
    green: bool,
    finding: str = "it was so",
    *,
    expected: bool | None = None,
    details: tuple[str, ...] = (),
) -> Cell:
    """A cell of the matrix, as expected unless told."""
    wanted = green if expected is None else expected
    return Cell(
        target, probe, Verdict("green" if green else "red", finding, details), wanted, took_s=0.5
    )


def labelled(picture: Picture, label: str) -> list[Any]:
    """What was drawn under a label, in the order of drawing."""
    found = picture.figure.findobj(lambda artist: artist.get_label() == label)
    return sorted(found, key=lambda artist: artist.zorder)


def texts(picture: Picture, label: str = "") -> list[str]:
    """The texts under a label, all texts without one, in the order of drawing."""
    return [
        text.get_text() for text in sorted(_written(picture, label), key=lambda text: text.zorder)
    ]


def _written(picture: Picture, label: str) -> list[Text]:
    """The texts under a label, without the empty ones of matplotlib's own axes."""
    found = [text for text in picture.figure.findobj(Text) if isinstance(text, Text)]
    return [text for text in found if text.get_text() and label in ("", text.get_label())]


def _areas(picture: Picture, label: str = "") -> list[tuple[str, Bbox]]:
    renderer = FigureCanvasAgg(picture.figure).get_renderer()  # type: ignore[no-untyped-call]  # matplotlib's own
    with matplotlib.rc_context(SETTINGS):
        return [
            (text.get_text(), text.get_window_extent(renderer)) for text in _written(picture, label)
        ]


def right_edge_px(picture: Picture, label: str = "") -> float:
    """Where the text furthest to the right ends, of those under a label if given, in pixels."""
    return max((area.x1 for _, area in _areas(picture, label)), default=0.0)


def clashes(picture: Picture) -> Sequence[str]:
    """Every pair of texts that lie over each other, and every text that the edge cuts off."""
    areas, sheet = _areas(picture), picture.figure.bbox
    over = [
        f"{a!r} lies over {b!r}"
        for (a, area_a), (b, area_b) in combinations(areas, 2)
        if min(area_a.x1, area_b.x1) - max(area_a.x0, area_b.x0) > 1
        and min(area_a.y1, area_b.y1) - max(area_a.y0, area_b.y0) > 1
    ]
    cut = [
        f"{text!r} is cut off"
        for text, area in areas
        if area.x0 < sheet.x0 or area.x1 > sheet.x1 or area.y0 < sheet.y0 or area.y1 > sheet.y1
    ]
    return over + cut
