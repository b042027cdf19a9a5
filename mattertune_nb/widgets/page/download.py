"""A small menu through which the browser downloads a view."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anywidget

from mattertune_nb.config.errors import MatterTuneError
from mattertune_nb.widgets.page.export import FORMATS, export
from mattertune_nb.widgets.page.style import PAGE_STYLE

if TYPE_CHECKING:
    from mattertune_nb.widgets.page.export import Exportable

_ESM = """
export default { render({ model, el }) {
  const me = crypto.getRandomValues(new Uint32Array(1))[0];
  const select = document.createElement("select");
  select.setAttribute("aria-label", "Download this view");
  select.title = "Download this view as a picture or its numbers as a table";
  const choices = { "": "Download", png: "PNG picture", svg: "SVG picture", csv: "CSV numbers" };
  for (const [value, text] of Object.entries(choices)) select.add(new Option(text, value));
  const problem = document.createElement("span");
  problem.setAttribute("role", "alert");
  problem.style.cssText = "color: var(--jp-error-color1, #c62828); margin-left: 6px";
  select.addEventListener("change", () => {
    problem.textContent = "";
    select.disabled = true;
    select.options[0].text = "Preparing …";
    model.send({ kind: select.value, view: me });
    select.value = "";
  });
  const deliver = (message, buffers) => {
    if (message.view !== me) return;
    select.disabled = false;
    select.options[0].text = choices[""];
    if (message.error) { problem.textContent = message.error; return; }
    const address = URL.createObjectURL(new Blob([buffers[0]], { type: message.type }));
    const link = Object.assign(document.createElement("a"), { href: address, download: message.name });
    link.click();
    setTimeout(() => URL.revokeObjectURL(address), 10000);
  };
  model.on("msg:custom", deliver);
  el.classList.add("jupyter-widgets", "widget-dropdown", "mt-download");
  el.append(select, problem);
  return () => model.off("msg:custom", deliver);
} };
"""


class Download(anywidget.AnyWidget):  # type: ignore[misc]
    """A menu of the file formats of a view; the browser saves the chosen one.

    Parameters
    ----------
    view
        The view to download.
    name
        File name, without extension.
    """

    _esm = _ESM
    # a layout set later would have the width of a drop-down
    _css = PAGE_STYLE + ".mt-download { width: auto !important; min-width: 106px; }"

    def __init__(self, view: Exportable, name: str) -> None:
        super().__init__()
        self._view, self._name = view, name
        self.on_msg(self._on_message)

    def _on_message(self, _: Any, content: Any, __: Any) -> None:
        kind = str(content.get("kind"))
        answer = {"view": content.get("view"), "name": f"{self._name}.{kind}"}
        try:
            data = export(self._view, kind)
        except MatterTuneError as exc:
            self.send(answer | {"error": str(exc)})
        else:
            self.send(answer | {"type": FORMATS[kind]}, [data])
