"""Building blocks of a self-contained page: tables, pictures, and their style."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from mattertune_nb.config.escaped import escaped
from mattertune_nb.widgets.page.export import render

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from matplotlib.figure import Figure

_DPI = 110

_STYLE = """
:root { color-scheme: light dark; --ink: #1f2328; --faint: #646b75; --line: #d8dce1; --paper: #fff;
  --good: #1a7f37; --bad: #b42318; }
@media (prefers-color-scheme: dark) { :root { --ink: #e3e6ea; --faint: #9aa3ad; --line: #3a4048;
  --paper: #17191c; --good: #57c46c; --bad: #ff7b6e; } }
@media print { :root { --ink: #000; --faint: #444; --line: #bbb; --paper: #fff; --good: #1a7f37;
  --bad: #b42318; } body { padding: 0 !important; } section, tr, figure { break-inside: avoid; } }
* { box-sizing: border-box; }
body { background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, sans-serif;
  margin: 0 auto; max-width: 1080px; padding: 24px 20px 60px; }
h1 { font-size: 1.6rem; margin: 0; overflow-wrap: anywhere; }
h2 { border-bottom: 1px solid var(--line); font-size: 1.15rem; margin: 2rem 0 .6rem; }
p { margin: .4rem 0; }
.faint { color: var(--faint); font-size: .9rem; }
.good { border-color: var(--good); } .verdict.bad { border-color: var(--bad); }
.good { color: var(--good); } .bad { color: var(--bad); }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { border-bottom: 1px solid var(--line); padding: .25rem 1.2rem .25rem 0; text-align: left;
  vertical-align: top; overflow-wrap: anywhere; }
th { font-weight: 600; }
th, td:first-child { overflow-wrap: normal; }
.pairs { display: grid; gap: 0 1rem; grid-template-columns: repeat(auto-fill, minmax(20rem, 1fr)); }
figure { display: inline-block; margin: .4rem .6rem .4rem 0; max-width: 100%; }
img { background: #fff; border-radius: 4px; height: auto; max-width: 100%; }
figcaption { color: var(--faint); font-size: .85rem; max-width: 30rem; overflow-wrap: anywhere; }
pre { background: rgba(128, 128, 128, .1); border-radius: 4px; font-size: .8rem; line-height: 1.4;
  overflow-wrap: anywhere; padding: .8rem; white-space: pre-wrap; }
code { font-size: .85em; }
"""


def page(title: str, sections: Iterable[tuple[str, str]], head: str) -> str:
    """Return the whole page.

    Parameters
    ----------
    title
        Shown at the top and on the browser's tab.
    sections
        Heading and HTML of each.
    head
        HTML below the title.
    """
    body = "".join(f"<section><h2>{text(name)}</h2>{part}</section>" for name, part in sections)
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{text(title)}</title><style>{_STYLE}</style></head>\n"
        f"<body><h1>{text(title)}</h1>{head}{body}</body></html>\n"
    )


def text(value: object) -> str:
    """Return plain text, e.g. a file name, escaped so that it is shown literally."""
    return escaped(str(value))


def paragraph(value: object, css: str = "") -> str:
    """Return a line of text."""
    return f'<p class="{css}">{text(value)}</p>'


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table of texts; a cell with a sign, 1 or -1, is marked good or bad."""
    top = "".join(f'<th scope="col">{text(head)}</th>' for head in heads)
    body = "".join(f"<tr>{''.join(_cell(cell) for cell in row)}</tr>" for row in rows)
    return (
        f'<div class="wide"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'
    )


def _cell(value: object) -> str:
    if isinstance(value, tuple):
        words, sign = value
        return f'<td class="{("", "good", "bad")[sign]}">{text(words)}</td>'
    return f"<td>{text(value)}</td>"


def picture(figure: Figure, title: str, caption: str = "") -> str:
    """Return an embedded picture; `title` describes it for those who cannot see it."""
    image = base64.b64encode(render(figure, dpi=_DPI)).decode()
    below = f"<figcaption>{text(caption)}</figcaption>" if caption else ""
    return f'<figure><img alt="{text(title)}" src="data:image/png;base64,{image}">{below}</figure>'
