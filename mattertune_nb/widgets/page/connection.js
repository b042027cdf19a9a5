// JupyterLab marks the widgets of a kernel that a person restarts, and not of one that has died and that its
// server has started anew: it is told here to do the same.
const GONE = ["autorestarting", "dead"];

// A page that is loaded asks for a widget for two seconds and then gives up, for good if the kernel's answer comes
// in the last tenth of a second, or while the page was too busy to ask. The outputs of such widgets are shown again.
const VIEW = "application/vnd.jupyter.widget-view+json";
const LOOKS = 20;

const isGivenUp = () => [...document.querySelectorAll(".jp-OutputArea-output.jupyter-widgets")].some(
  (node) => node.textContent === "Error displaying widget: model not found",
);

const showAgain = async (manager) => {
  for (const { outputs } of manager.context?.model?.cells ?? []) {
    for (let i = 0; i < (outputs?.length ?? 0); i++) {
      const output = outputs.get(i).toJSON();
      const id = output.data?.[VIEW]?.model_id;
      if (!id || !manager.has_model(id)) continue;
      const { views } = await manager.get_model(id);
      if (!Object.keys(views ?? {}).length) outputs.set(i, output);
    }
  }
};

const heal = (manager) => {
  let looks = 0;
  const timer = setInterval(() => {
    if (isGivenUp()) showAgain(manager);
    if (++looks >= LOOKS) clearInterval(timer);
  }, 1000);
  return () => clearInterval(timer);
};

// What the kernel sends while a page makes its widgets is lost, and is asked for when all are made; Voila has a
// promise for it.
const whenLoaded = (manager, then) => {
  if (manager?.loadedModelsFromKernel) manager.loadedModelsFromKernel.then(then);
  else if (manager?.restored && !manager.restoredStatus) manager.restored.connect(then);
  else then();
};

export default {
  initialize({ model }) {
    const manager = model.widget_manager;
    const stop = heal(manager);
    const loaded = model.get("_page");
    whenLoaded(manager, () => model.send({ loaded }));
    const changed = manager?.kernel?.statusChanged;
    if (!changed || !manager.disconnect) return stop;
    const look = (_, status) => {
      if (GONE.includes(status)) manager.disconnect();
    };
    changed.connect(look);
    return () => { stop(); changed.disconnect(look); };
  },
  render({ el }) {
    el.style.display = "none";
  },
};
