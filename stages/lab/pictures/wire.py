"""The wire as a picture: every line that a client read, and what became of it.

Left is the wire, byte for byte. Right is the fate of each line, by the rules of `clients.sse`; a
line that comes to nothing is red, with a cross. At the foot stands the text that the upstream
sent beside the text that the client read.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from stages.lab.bench.bench import Answer
from stages.lab.bench.timeline import ENDINGS
from stages.lab.clients.client import Ending
from stages.lab.clients.dialects import Said
from stages.lab.clients.sse import Fate, Line, dissect
from stages.lab.pictures.canvas import (
    BLUE,
    GREEN,
    GREY,
    GREY_TINT,
    INK,
    PALE,
    PURPLE,
    RED,
    RED_TINT,
    Canvas,
    shortened,
)
from stages.lab.pictures.glyphs import fit, write, write_compared
from stages.lab.pictures.picture import Picture
from stages.lab.pictures.story import sent_text

HEAD_LINES, TAIL_LINES = 18, 5  # one screen: damage shows early, and the end says how it ended
TOP, ROW, FOOT, LEFT, MIDDLE, RIGHT = 66, 23, 118, 24, 560, 884

COLORS: dict[Fate, str] = {"data": BLUE, "event": PURPLE}
WORDS: dict[Fate, str] = {
    "event": "type of the event",
    "data": "data of the event",
    "id": "id of the event",
    "retry": "reconnection time",
    "comment": "comment: no event, keeps the line busy",
    "blank": "blank line: ends nothing",
    "unknown field": "dropped: unknown field",
    "ignored value": "dropped: value not allowed",
    "unfinished": "lost: the stream ends before the event",
}


@dataclass(frozen=True)
class Row:
    """One line of the wire as it is shown. `damaged` lines come to nothing."""

    line: Line
    color: str
    words: str
    damaged: bool = False


def draw(answer: Answer) -> Picture:
    """Return the picture of the wire of one answer."""
    rows = list(_rows(answer))
    shown = _shown(rows)
    canvas = Canvas(TOP + ROW * len(shown) + (FOOT if _is_stream(answer) else 36))
    title = _title(answer, rows)
    _draw_heads(canvas, title, _is_stream(answer))
    y = TOP + ROW / 2
    for row in shown:
        if row is None:
            more = f"… {len(rows) - HEAD_LINES - TAIL_LINES:,} more lines"
            canvas.text(LEFT + 2, y, more, color=GREY, label="more")
        else:
            _draw_row(canvas, y, row)
        y += ROW
    _draw_ending(canvas, y + 3, answer.client.ended)
    if _is_stream(answer):
        title += _draw_texts(canvas, y + 49, sent_text(answer), answer.told.text)
    return Picture(canvas.figure, f"{title}.")


def _title(answer: Answer, rows: Sequence[Row]) -> str:
    if answer.client.status is None:
        return "No answer came"
    if not _is_stream(answer):
        return f"No event stream: status {answer.client.status}"
    if not rows:
        return "Nothing came over the wire"
    damaged = sum(row.damaged for row in rows)
    lines = f"{len(rows):,} line" + "s" * (len(rows) != 1)
    return f"{lines} on the wire, {damaged or 'none'} of them lost"


def _is_stream(answer: Answer) -> bool:
    return answer.client.headers.get("content-type", "").startswith("text/event-stream")


def _shown(rows: list[Row]) -> list[Row | None]:
    """Return the rows to show; None stands for those left out."""
    if len(rows) <= HEAD_LINES + TAIL_LINES + 1:
        return [*rows]
    return [*rows[:HEAD_LINES], None, *rows[-TAIL_LINES:]]


def _rows(answer: Answer) -> Iterator[Row]:
    """Yield every line with its fate. A client that was told done or error stops to read."""
    lines = dissect(bytes(answer.client.body))
    if not _is_stream(answer):
        yield from (Row(line, INK, "a line of the body") for line in lines)
        return
    events, end, before = iter(answer.told.said), "", "dispatch"
    for line in lines:
        said = next(events) if line.fate == "dispatch" else None
        if end and line.fate in ("event", "data", "dispatch"):
            yield Row(line, RED, f"not read: comes after {end}", True)
        elif said is not None:
            end = said.kind if said.kind in ("done", "error") else ""
            yield _heard(line, said)
        elif line.fate == "blank" and before in ("dispatch", "blank"):
            yield Row(line, RED, "dropped: no event to end", True)
        elif line.fate in ("unknown field", "ignored value", "unfinished"):
            yield Row(line, RED, WORDS[line.fate], True)
        else:
            yield Row(line, COLORS.get(line.fate, GREY), WORDS[line.fate])
        before = line.fate


def _heard(line: Line, said: Said) -> Row:
    """Return the row of the blank line at which the client hears something."""
    match said.kind:
        case "token":
            return Row(line, GREEN, f"the client gets {said.value!r}")
        case "unreadable":
            return Row(line, RED, "lost: the client cannot read it", True)
        case kind:
            return Row(line, GREEN, f"the client is told: {kind}")


def _draw_heads(canvas: Canvas, title: str, stream: bool) -> None:
    canvas.text(LEFT - 8, 22, title, size=13, bold=True, label="title")
    canvas.text(LEFT + 2, TOP - 17, "what the client reads, line by line", color=GREY)
    if stream:
        canvas.text(MIDDLE, TOP - 17, "what every client must make of it", color=GREY)


def _draw_row(canvas: Canvas, y: float, row: Row) -> None:
    bottom = y + ROW / 2
    if row.damaged:
        canvas.box(LEFT - 8, y - ROW / 2, RIGHT - LEFT + 16, ROW, fill=RED_TINT, label="damaged")
        canvas.cross(MIDDLE + 5, y, RED)
    elif row.line.fate == "dispatch":
        canvas.shape([(MIDDLE, y - 5), (MIDDLE, y + 5), (MIDDLE + 9, y)], GREEN, label="dispatch")
    if row.line.fate in ("dispatch", "blank"):
        canvas.line([(LEFT - 4, bottom), (RIGHT + 8, bottom)], PALE, 0.6)
    canvas.box(LEFT - 8, y - ROW / 2, 4, ROW, fill=row.color)
    text = row.line.raw.decode("utf-8", errors="surrogateescape")
    write(canvas, LEFT + 2, y, fit(text, MIDDLE - LEFT - 16, 110), row.color)
    bold = row.damaged or row.line.fate == "dispatch"
    words = shortened(row.words, RIGHT - MIDDLE - 18, bold=bold)
    canvas.text(MIDDLE + 18, y, words, color=row.color, bold=bold, label=row.line.fate)


def _draw_ending(canvas: Canvas, y: float, ended: Ending | None) -> None:
    bad = ended is not None and ENDINGS[ended].bad
    if bad:
        canvas.cross(LEFT + 8, y, RED)
    words = "the answer goes on" if ended is None else ENDINGS[ended].on_the_wire
    color = RED if bad else GREY
    canvas.text(LEFT + 2 + 18 * bad, y, words, bold=bad, color=color, label="ending")


def _draw_texts(canvas: Canvas, y: float, sent: str | None, got: str) -> str:
    """Show what was sent beside what was read; returns how they differ, in words."""
    damaged = sent is not None and sent != got
    fill, label = (RED_TINT, "texts differ") if damaged else (GREY_TINT, "")
    canvas.box(LEFT - 8, y - 20, RIGHT - LEFT + 16, 68, fill=fill, round_px=4, label=label)
    for name, text, other in (("sent", sent, got), ("read", got, sent)):
        canvas.text(LEFT + 4, y, f"text {name}", bold=True)
        if not text:
            words = "none" if text == "" else "not known: the ledger keeps the first steps only"
            canvas.text(LEFT + 92, y, words, color=GREY, label=f"text {name}")
        else:
            room = RIGHT - LEFT - 92 - 40
            write_compared(canvas, LEFT + 92, y, text, text if other is None else other, room)
        y += 28
    if sent is None:
        return ""
    mark, color = (canvas.cross, RED) if damaged else (canvas.check, GREEN)
    mark(RIGHT - 14, y - 42, color, 8)
    return "; the client read another text" if damaged else "; the client read the text as sent"
