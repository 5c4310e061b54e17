"""The model card: one list of headings, paragraphs, tables and plots, written as Markdown and as
one self-contained HTML file."""

import html
import math

WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 560, 340, 52, 44, 32, 12
COLOURS = ("#1b6e3c", "#b3541e", "#4b5fa8", "#777777")

STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 0 auto; padding: 1rem;
  background: #fff; color: #222; overflow-wrap: anywhere; }
table { overflow-wrap: normal; border-collapse: collapse; margin: 1rem 0; display: block; overflow-x: auto; }
th, td { padding: .2rem .7rem; text-align: right; border-bottom: 1px solid #ddd; }
th:first-child, td:first-child { text-align: left; }
figure { margin: 1.5rem 0; } figcaption { color: #555; font-size: .9rem; }
svg { width: 100%; max-width: 560px; height: auto; background: #fff; }
@media (prefers-color-scheme: dark) {
  body { background: #16191c; color: #ddd; } th, td { border-color: #444; } figcaption { color: #aaa; }
}
@media print { body { max-width: none; } figure, table { break-inside: avoid; } }
"""


class Card:
    """A document in the making."""

    def __init__(self, title):
        self.title, self.parts = title, []

    def heading(self, text):
        self.parts.append(("heading", text))

    def text(self, text):
        self.parts.append(("text", text))

    def table(self, header, rows):
        self.parts.append(("table", (header, [[str(cell) for cell in row] for row in rows])))

    def plot(self, caption, svg):
        self.parts.append(("plot", (caption, svg)))

    def markdown(self, beside):
        lines = [f"# {self.title}", ""]
        for kind, part in self.parts:
            if kind == "heading":
                lines += [f"## {part}", ""]
            elif kind == "text":
                lines += [part, ""]
            elif kind == "table":
                header, rows = part
                lines.append("| " + " | ".join(header) + " |")
                lines.append("|" + " --- |" * len(header))
                lines += ["| " + " | ".join(row) + " |" for row in rows] + [""]
            else:
                lines += [f"Plot in [{beside}]({beside}): {part[0]}", ""]
        return "\n".join(lines)

    def html(self):
        e = html.escape
        body = [f"<h1>{e(self.title)}</h1>"]
        for kind, part in self.parts:
            if kind == "heading":
                body.append(f"<h2>{e(part)}</h2>")
            elif kind == "text":
                body.append(f"<p>{e(part)}</p>")
            elif kind == "table":
                header, rows = part
                head = "".join(f"<th>{e(cell)}</th>" for cell in header)
                cells = ("".join(f"<td>{e(cell)}</td>" for cell in row) for row in rows)
                lines = "\n".join(f"<tr>{row}</tr>" for row in cells)
                body.append(f"<table><thead><tr>{head}</tr></thead>\n<tbody>{lines}</tbody></table>")
            else:
                body.append(f"<figure>{part[1]}<figcaption>{e(part[0])}</figcaption></figure>")
        return (
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            f"<title>{e(self.title)}</title><style>{STYLE}</style></head>\n<body>\n"
            + "\n".join(body)
            + "\n</body></html>\n"
        )


class Axes:
    """A plot in the making; both axes run over what they are given."""

    def __init__(self, x, y, x_label, y_label, log_x=False):
        self.x, self.y, self.log_x, self.shapes, self.legend = x, y, log_x, [], []
        self.labels = (x_label, y_label)

    def at(self, x, y):
        scale = math.log10 if self.log_x else float
        low, high = scale(self.x[0]), scale(self.x[1])
        share = (scale(min(max(x, self.x[0]), self.x[1])) - low) / (high - low)
        rise = (min(max(y, self.y[0]), self.y[1]) - self.y[0]) / (self.y[1] - self.y[0])
        return (
            LEFT + share * (WIDTH - LEFT - RIGHT),
            HEIGHT - BOTTOM - rise * (HEIGHT - BOTTOM - TOP),
        )

    def colour(self, name):
        colour = COLOURS[len(self.legend) % len(COLOURS)]
        self.legend.append((name, colour))
        return colour

    def line(self, name, points, dots=False):
        colour = self.colour(name)
        places = [self.at(*point) for point in points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        self.shapes.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        if dots:
            self.shapes += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in places]

    def bars(self, name, edges, heights):
        colour = self.colour(name)
        for low, high, height in zip(edges, edges[1:], heights):
            (x0, y0), (x1, y1) = self.at(low, height), self.at(high, self.y[0])
            self.shapes.append(
                f'<rect x="{x0:.1f}" y="{y0:.1f}" width="{max(x1 - x0 - 1, 1):.1f}" '
                f'height="{max(y1 - y0, 0):.1f}" fill="{colour}" fill-opacity="0.55"/>'
            )

    def svg(self, x_ticks, y_ticks):
        found = []
        for tick in x_ticks:
            x, y = self.at(tick, self.y[0])
            found.append(f'<line x1="{x:.1f}" y1="{TOP}" x2="{x:.1f}" y2="{y:.1f}" stroke="#ddd"/>')
            found.append(f'<text x="{x:.1f}" y="{y + 16:.1f}" text-anchor="middle">{tick:g}</text>')
        for tick in y_ticks:
            x, y = self.at(self.x[0], tick)
            found.append(f'<line x1="{x:.1f}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}" stroke="#ddd"/>')
            found.append(f'<text x="{x - 6:.1f}" y="{y + 4:.1f}" text-anchor="end">{tick:g}</text>')
        middle = (LEFT + WIDTH - RIGHT) / 2
        x_label, y_label = (html.escape(label) for label in self.labels)
        found.append(f'<text x="{middle}" y="{HEIGHT - 6}" text-anchor="middle">{x_label}</text>')
        found.append(
            f'<text transform="translate(14 {(HEIGHT - BOTTOM + TOP) / 2}) rotate(-90)" '
            f'text-anchor="middle">{y_label}</text>'
        )
        found += self.shapes
        # Above the axes, where no shape can lie beneath; a character is about 7 units wide.
        x = LEFT
        for name, colour in self.legend:
            found.append(f'<rect x="{x}" y="{TOP - 23}" width="12" height="10" fill="{colour}"/>')
            found.append(f'<text x="{x + 17}" y="{TOP - 14}">{html.escape(name)}</text>')
            x += 38 + 7 * len(name)
        return (
            f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" font-family="system-ui, sans-serif" '
            f'font-size="12" fill="#333">' + "".join(found) + "</svg>"
        )


def bar_list(pairs):
    """Names with shares as horizontal bars."""
    row, width = 20, 560
    most = max((share for _, share in pairs), default=1) or 1
    found = []
    for at, (name, share) in enumerate(pairs):
        y = row * at
        found.append(f'<text x="215" y="{y + 14}" text-anchor="end">{html.escape(name)}</text>')
        found.append(
            f'<rect x="222" y="{y + 3}" width="{270 * share / most:.1f}" height="14" fill="{COLOURS[0]}"/>'
        )
        found.append(f'<text x="{228 + 270 * share / most:.1f}" y="{y + 14}">{100 * share:.1f} %</text>')
    return (
        f'<svg viewBox="0 0 {width} {row * len(pairs) + 4}" role="img" '
        f'font-family="system-ui, sans-serif" font-size="12" fill="#333">' + "".join(found) + "</svg>"
    )
