"""A clickable picture, which ipywidgets does not provide."""

from __future__ import annotations

from typing import Any

import anywidget
import traitlets

_ESM = """
export default { render({ model, el }) {
  const button = document.createElement("button");
  button.type = "button";
  button.style.cssText = "padding:0;border:0;background:none;cursor:pointer;max-width:100%";
  const image = document.createElement("img");
  image.style.cssText = "display:block;max-width:100%;border-radius:4px";
  button.append(image);
  let address = "";
  const draw = () => {
    URL.revokeObjectURL(address);
    address = URL.createObjectURL(new Blob([model.get("value")], { type: "image/png" }));
    image.src = address;
  };
  const name = () => { image.alt = button.title = model.get("label"); };
  draw(); name();
  model.on("change:value", draw);
  model.on("change:label", name);
  button.addEventListener("click", () => model.send({ event: "click" }));
  el.append(button);
  return () => URL.revokeObjectURL(address);
} };
"""


class ClickablePicture(anywidget.AnyWidget):  # type: ignore[misc]
    """A PNG that calls a function when it is clicked or activated with the keyboard.

    Parameters
    ----------
    clicked
        Called without arguments.
    """

    _esm = _ESM
    value = traitlets.Bytes(b"").tag(sync=True)
    label = traitlets.Unicode("").tag(sync=True)

    def __init__(self, clicked: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.on_msg(lambda _, content, __: content.get("event") == "click" and clicked())
