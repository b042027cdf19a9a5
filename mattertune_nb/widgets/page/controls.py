"""ipywidgets' controls, with one shared layout and style per kind.

ipywidgets gives each control its own layout and style, and each of these is a message to the page and an
object on it: in a form they made up three fifths of both objects and display time. The look of controls is
set by their CSS classes, see :mod:`.style`, which are passed as ``css``.
"""

from __future__ import annotations

from typing import Any, ClassVar

import ipywidgets as W  # noqa: N812  the usual alias
import traitlets

from mattertune_nb.widgets.page.style import LABEL_WIDTH

_shared: dict[tuple[Any, ...], W.Widget] = {}


def shared(cls: type[W.Widget], **traits: Any) -> Any:
    """Return the shared layout or style with these traits; changing it changes it for all users."""
    key = (cls, *sorted(traits.items()))
    # `Widget.close_all()` closes these as well
    if key not in _shared or _shared[key].comm is None:
        _shared[key] = cls(**traits)
    return _shared[key]


def is_shared(widget: W.Widget) -> bool:
    """Return whether this layout or style is shared."""
    return any(widget is one for one in _shared.values())


class _Plain(traitlets.HasTraits):  # type: ignore[misc]
    def __init__(self, *args: Any, css: str = "", **traits: Any) -> None:
        # each class that is added later costs a message to the page
        super().__init__(*args, _dom_classes=tuple(css.split()), **traits)

    @traitlets.default("layout")  # type: ignore[untyped-decorator]
    def _layout(self) -> Any:
        return shared(W.Layout)


class _Styled(_Plain):
    _style: ClassVar[dict[str, Any]] = {}

    @traitlets.default("style")  # type: ignore[untyped-decorator]
    def _style_of_all(self) -> Any:
        return shared(self.traits()["style"].klass, **self._style)


class _Labelled(_Styled):
    _style: ClassVar[dict[str, Any]] = {"description_width": LABEL_WIDTH}


class _Holding(_Plain):
    """A box that remembers widgets it showed before, or may show later, because they are closed with it too.

    If a widget stays alive while a part of it is closed, every widget of the page breaks: when the kernel is
    asked for the state of all widgets, as after a reload, it fails at this one and answers nothing.

    Attributes
    ----------
    once_shown
        Widgets closed with the box besides its children.
    """

    once_shown: tuple[W.Widget, ...] = ()

    @traitlets.observe("children")  # type: ignore[untyped-decorator]
    def _on_children(self, change: Any) -> None:
        now = {id(child) for child in change["new"]}
        before = (*self.once_shown, *(change["old"] or ()))
        self.once_shown = tuple(
            {id(w): w for w in before if w.comm is not None and id(w) not in now}.values()
        )


class Box(_Holding, W.Box):  # type: ignore[misc]
    """A box laid out by CSS."""


class HBox(_Holding, W.HBox):  # type: ignore[misc]
    """Widgets in a row."""


class VBox(_Holding, W.VBox):  # type: ignore[misc]
    """Widgets below each other."""


class HTML(_Styled, W.HTML):  # type: ignore[misc]
    """A text."""


class Button(_Styled, W.Button):  # type: ignore[misc]
    """A button."""


class ToggleButton(_Styled, W.ToggleButton):  # type: ignore[misc]
    """A toggle button."""


class Checkbox(_Labelled, W.Checkbox):  # type: ignore[misc]
    """A checkbox."""


class Dropdown(_Labelled, W.Dropdown):  # type: ignore[misc]
    """A drop-down list."""


class Text(_Labelled, W.Text):  # type: ignore[misc]
    """A text field."""


class Textarea(_Labelled, W.Textarea):  # type: ignore[misc]
    """A text area."""
