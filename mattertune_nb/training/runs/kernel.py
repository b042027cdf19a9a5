"""Makes a notebook's widgets work while a cell waits."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from mattertune_nb.config.ipython import ipython_shell

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

log = logging.getLogger(__name__)

# a reloaded page asks for the list of widgets, and is not answered while a cell waits
_FROM_WIDGETS = ("comm_open", "comm_msg", "comm_close", "comm_info_request")


@contextlib.contextmanager
def widgets_served() -> Iterator[Callable[[float], None]]:
    """Yield a sleep function during which clicks and input in widgets are handled.

    A kernel handles no messages while it executes a cell. Here pending messages are inspected: those of
    widgets are handled, all others, such as cells executed meanwhile, are passed to the kernel afterwards in
    their order of arrival. Outside a cell of ipykernel 7 or later it is a plain sleep.
    """
    kernel = kernel_of_cell()
    stream = None if kernel is None else _stream(kernel)
    if stream is None:
        yield time.sleep
        return
    received: deque[list[Any]] = deque()
    set_aside: deque[list[Any]] = deque()
    hear = stream._recv_callback

    def sleep(seconds: float) -> None:
        time.sleep(seconds)
        stream.flush()
        while received:
            frames = received.popleft()
            if not _handled(kernel, frames):
                set_aside.append(frames)

    stream.on_recv(received.append, copy=False)
    try:
        yield sleep
    finally:
        stream.on_recv(hear, copy=False)
        # including what arrived at the moment of an interrupt
        for frames in (*set_aside, *received):
            answer = hear(frames)
            if asyncio.iscoroutine(answer):
                # it starts after this cell, and before anything that comes later
                asyncio.ensure_future(answer)  # noqa: RUF006  the kernel's lock holds it


def kernel_of_cell() -> Any:
    """Return the kernel whose cell this thread executes, if any."""
    if threading.current_thread() is not threading.main_thread():
        return None
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return None
    return getattr(ipython_shell(), "kernel", None)


def _stream(kernel: Any) -> Any:
    """Return the stream on which messages reach the main thread, if the kernel has a suitable one."""
    thread = getattr(kernel, "shell_channel_thread", None)
    pair = getattr(getattr(thread, "manager", None), "_shell_channel_to_main", None)
    stream = getattr(pair, "to_stream", None)
    return stream if callable(getattr(stream, "_recv_callback", None)) else None


def _handled(kernel: Any, frames: list[Any]) -> bool:
    """Handle a message if it belongs to a widget; its output goes to the widget and not to the cell."""
    try:
        idents, parts = kernel.session.feed_identities(frames, copy=False)
        header = kernel.session.deserialize(parts, content=False, copy=False)["header"]
        if header["msg_type"] not in _FROM_WIDGETS:
            return False
        message = kernel.session.deserialize(parts, content=True, copy=False)
    except (
        ValueError,
        TypeError,
        LookupError,
    ):  # left to the kernel, such as its message to itself
        return False
    cell, cell_idents = kernel.get_parent("shell"), kernel._parent_ident["shell"]
    kernel.set_parent(idents, message, channel="shell")
    kernel._publish_status("busy", "shell")
    try:
        replies = kernel.shell_channel_thread.manager.get_subshell_to_shell_channel_socket(None)
        answer = kernel.shell_handlers[header["msg_type"]](replies, idents, message)
        if asyncio.iscoroutine(answer):
            # none of these waits for anything, and the loop cannot run before the cell has ended
            with contextlib.suppress(StopIteration):
                answer.send(None)
            answer.close()
    except Exception:
        log.exception("A widget's message could not be handled.")
    finally:
        kernel._publish_status("idle", "shell")
        kernel.set_parent(cell_idents, cell, channel="shell")
        kernel._publish_status("busy", "shell")  # with the cell, as before
    return True
