"""ipywidgets' controls with one layout and one style for all of a kind.

ipywidgets gives each control a layout and a style of its own, and each of those is a message to the page
and an object on it: in a form they were three fifths of all, and of the time until it is seen. How controls
look is set by their CSS classes, see :mod:`.style`, which are given as ``css``.
"""

from __future__ import annotations

from typing import Any, ClassVar

import ipywidgets as W  # noqa: N812  the usual alias
import traitlets

from mattertune_nb.widgets.page.style import LABEL_WIDTH

_shared: dict[tuple[Any, ...], W.Widget] = {}


def shared(cls: type[W.Widget], **traits: Any) -> Any:
    """Return the one layout or style with these traits; who changes it changes it for all."""
    key = (cls, *sorted(traits.items()))
    # `Widget.close_all()` closes these as well
    if key not in _shared or _shared[key].comm is None:
        _shared[key] = cls(**traits)
    return _shared[key]


def is_shared(widget: W.Widget) -> bool:
    """Return whether others look as this layout or style says."""
    return any(widget is one for one in _shared.values())


class _Plain(traitlets.HasTraits):  # type: ignore[misc]
    def __init__(self, *args: Any, css: str = "", **traits: Any) -> None:
        # classes that are added later are a message to the page each
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
    """A box that remembers what it showed before, or may show, as that is closed with it too.

    What is left alive while a part of it is closed breaks every widget of the page: a kernel that is asked
    for the state of all, as after a reload, fails at it and answers nothing.

    Attributes
    ----------
    once_shown
        What is closed with the box besides its children.
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
    """A box as CSS lays it out."""


class HBox(_Holding, W.HBox):  # type: ignore[misc]
    """Widgets in a row."""


class VBox(_Holding, W.VBox):  # type: ignore[misc]
    """Widgets below each other."""


class HTML(_Styled, W.HTML):  # type: ignore[misc]
    """A text."""


class Button(_Styled, W.Button):  # type: ignore[misc]
    """A button."""


class ToggleButton(_Styled, W.ToggleButton):  # type: ignore[misc]
    """A button that stays pressed."""


class Checkbox(_Labelled, W.Checkbox):  # type: ignore[misc]
    """A switch."""


class Dropdown(_Labelled, W.Dropdown):  # type: ignore[misc]
    """A choice."""


class Text(_Labelled, W.Text):  # type: ignore[misc]
    """A line of text."""


class Textarea(_Labelled, W.Textarea):  # type: ignore[misc]
    """Lines of text."""
