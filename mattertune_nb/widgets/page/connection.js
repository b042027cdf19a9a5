// JupyterLab marks the widgets of a kernel that a person restarts, and not of one that has died and that its
// server has started anew: it is told here to do the same.
const GONE = ["autorestarting", "dead"];

export default {
  initialize({ model }) {
    const manager = model.widget_manager;
    const changed = manager?.kernel?.statusChanged;
    if (!changed || !manager.disconnect) return;
    const look = (_, status) => {
      if (GONE.includes(status)) manager.disconnect();
    };
    changed.connect(look);
    return () => changed.disconnect(look);
  },
  render({ el }) {
    el.style.display = "none";
  },
};
